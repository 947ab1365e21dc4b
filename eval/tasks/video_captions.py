"""Captions of videos: MSVD, MSR-VTT and VATEX."""

from eval.task import Generate, Task
from eval.tasks import instructblip

PROMPT = "Provide a one-sentence caption for the provided video."
SCORER = "caption-coco-v1"


def _caption_tasks(name: str, title: str, data: str) -> tuple[Task, Task]:
    """Return the task in lmms-eval's words for captions, and that of X-InstructBLIP."""
    written = Task(
        name=name,
        version=1,
        description=f"{title}: captions of videos in the model's own words.",
        data=data,
        modalities=("video",),
        prompt=PROMPT,
        plain_prompt="A video of",
        kind=Generate({"max_new_tokens": 64}),
        scorer=SCORER,
        target="meta:captions",
        clusters=("media",),
    )
    theirs = Task(
        name=f"{name}-instructblip",
        version=1,
        description=f"{title} as X-InstructBLIP captions it: its prompt, five frames, five beams.",
        data=data,
        modalities=("video",),
        prompt=instructblip.CAPTION_PROMPT,
        media_options=instructblip.FIVE_FRAMES,
        kind=Generate(instructblip.CAPTION),
        scorer=SCORER,
        target="meta:captions",
        clusters=("media",),
    )
    return written, theirs


_HEARD_TOO = Task(
    name="vatex-caption-instructblip-joint",
    version=1,
    description="VATEX, public test, as X-InstructBLIP captions video and sound together.",
    data="official:vatex/test",
    modalities=("video", "sound"),
    prompt=instructblip.CAPTION_PROMPT,
    media_options=instructblip.FIVE_FRAMES,
    only=(("video",), ("sound",)),
    kind=Generate(instructblip.CAPTION),
    scorer=SCORER,
    target="meta:captions",
    clusters=("media",),
)

TASKS = (
    *_caption_tasks("msvd-caption", "MSVD, test", "official:msvd/test"),
    *_caption_tasks("msrvtt-caption", "MSR-VTT, test", "official:msrvtt/test"),
    *_caption_tasks("vatex-caption", "VATEX, public test", "official:vatex/test"),
    _HEARD_TOO,
)
