"""ImageBind's published zero-shot row (Girdhar et al. 2023, arXiv:2305.05665, tables 2 to 5), a task a data set.

The data are the official files: `official:NAME/SPLIT` is read from the folder that `--data` names. Labels are under
`label`, and the classes are the distinct ones of the data, or those that the rows list; captions are under `captions`.

Pictures, depth and thermal get CLIP's 80 templates; those of videos, sounds and IMU recordings are our own, since which
ones the paper took for each set is not in its code. Label prompts move these figures by points, so that a difference of
that size from a published value says little.
"""

from typing import Any

from eval.kinds import Retrieve
from eval.task import Choose, Task
from eval.tasks.templates import imagenet_templates

VISUAL = imagenet_templates()
VIDEO = ("a video of a person {}.", "a video of {}.", "a photo of a person {}.", "a person {}.", "{}")
SOUND = ("the sound of {}.", "a sound of {}.", "{}")
IMU = ("a person is {}.", "a person doing {}.", "{}")

_OWN = "meta:options"  # the row lists all classes, those too of which no medium is left
_NO_PROBE = "this suite is zero-shot; `starter-probes` shows how to probe an encoder"


def _classes(
    name: str, data: str, modality: str, templates: tuple[str, ...], published: str, candidates: str = "labels"
) -> Task:
    return _task(name, data, modality, Choose(candidates, templates=templates), "choice-sum-v1", published)


def _captions(name: str, data: str, modality: str, published: str) -> Task:
    kind = Retrieve("text", modality, right="row")
    return _task(name, data, modality, kind, "retrieval-v1", published, target="meta:captions")


def _task(name: str, data: str, modality: str, kind: Any, scorer: str, published: str, target: str = "") -> Task:
    return Task(
        name=f"imagebind-{name}",
        version=1,
        description=f"{published}, in ImageBind's table.",
        data=f"official:{data}",
        modalities=(modality,),
        prompt="",
        kind=kind,
        scorer=scorer,
        target=target or "meta:label",
        clusters=("media",),
        no_probe=_NO_PROBE,
    )


TASKS = (
    _classes(
        "imagenet", "imagenet/val", "image", VISUAL, "ImageNet-1k zero-shot, top-1 of 1,000 classes: 77.7 %", _OWN
    ),
    _classes("k400", "k400/val", "video", VIDEO, "Kinetics-400 zero-shot, top-1 of 400 actions: 50.0 %"),
    _classes("nyu-d", "nyu-d/val", "depth", VISUAL, "NYU-D zero-shot from depth, top-1 of 10 scenes: 54.0 %"),
    _classes("sun-d", "sun-d/test", "depth", VISUAL, "SUN-D zero-shot from depth, top-1 of 19 scenes: 35.1 %"),
    _task(
        "audioset",
        "audioset/eval",
        "sound",
        Choose("labels", several=True, templates=SOUND),
        "multi-label-similarity-v1",
        "AudioSet zero-shot from sound, mAP over 527 labels: 17.6 %",
        target="meta:labels",
    ),
    _classes("vggsound", "vggsound/test", "sound", SOUND, "VGGSound zero-shot from sound, top-1 of 309: 27.8 %", _OWN),
    _classes("esc50", "esc50/all", "sound", SOUND, "ESC-50 zero-shot, top-1 of 50 classes: 66.9 %"),
    _classes("llvip", "llvip/val", "thermal", VISUAL, "LLVIP zero-shot from thermal, person or background: 63.4 %"),
    _classes("ego4d", "ego4d-imu/test", "imu", IMU, "Ego4D scenarios zero-shot from IMU, top-1: 25.0 %"),
    _captions("clotho", "clotho/evaluation", "sound", "Clotho, text to sound: R@1 6.0 %, R@10 28.4 %"),
    _captions("audiocaps", "audiocaps/test", "sound", "AudioCaps, text to sound: R@1 9.3 %, R@10 42.3 %"),
    _captions("msrvtt", "msrvtt/test-1k-a", "video", "MSR-VTT 1k-A, text to video: R@1 36.1 %"),
)
