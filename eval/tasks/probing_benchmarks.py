"""Probes of frozen encoders on official files, in the manner of SUPERB and AV-SUPERB.

SUPERB (Yang et al. 2021, arXiv:2105.01051) probes encoders of speech by keywords (Speech Commands v1), speakers
(VoxCeleb1) and emotions (IEMOCAP, five folds, of which each leaves one session out). AV-SUPERB (Tseng et al. 2023,
arXiv:2309.10787) probes those of sounds and videos, alone and together, by VGGSound among others. The probes are those
of `eval.kinds.Probing`, not the heads of these benchmarks.
"""

from eval.kinds import Probing
from eval.task import Task

_LIMIT = 20_000  # training items, a seeded sample


def _probe(name: str, description: str, data: str, train: str, modalities: tuple[str, ...]) -> Task:
    return Task(
        name=f"probe-{name}",
        version=1,
        description=description,
        data=f"official:{data}",
        modalities=modalities,
        prompt="",
        kind=Probing(f"official:{train}", limit=_LIMIT),
        scorer="probing-v1",
        target="meta:label",
        clusters=("media",),
    )


_SPEECH = ("speech",)
TASKS = (
    *(
        _probe(
            f"speech-commands-{version}",
            f"What does the speech encoder know of spoken commands, {version}? SUPERB's KS is v1.",
            f"speech-commands-{version}/test",
            f"speech-commands-{version}/train",
            _SPEECH,
        )
        for version in ("v1", "v2")
    ),
    _probe("voxceleb1", "What does it know of who speaks? SUPERB's SID.", "voxceleb1/test", "voxceleb1/train", _SPEECH),
    *(
        _probe(
            f"iemocap-{session}",
            f"What does it know of emotions? SUPERB's ER, session {session} left out.",
            f"iemocap/session{session}",
            f"iemocap/session{session}-train",
            _SPEECH,
        )
        for session in range(1, 6)
    ),
    *(
        _probe(
            f"vggsound-{'-'.join(shown)}",
            f"What do the encoders of {' and '.join(shown)} know of 309 kinds of events? As in AV-SUPERB.",
            "vggsound/test",
            "vggsound/train",
            shown,
        )
        for shown in (("sound",), ("video",), ("sound", "video"))
    ),
)
