"""Probes of the frozen encoders on the starter data; they say what an encoder knows, whatever is trained behind it."""

from eval.kinds import Probing
from eval.task import Task
from eval.tasks.image import STAMPS_TEST, STAMPS_TRAIN

TASKS = (
    Task(
        name="probe-image-category",
        version=1,
        description="What does the picture encoder know of the 15 categories of stamps?",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt="",
        kind=Probing(STAMPS_TRAIN),
        scorer="probing-v1",
        target="meta:category",
    ),
    Task(
        name="probe-sound-family",
        version=1,
        description="What does the sound encoder know of the 14 families of samples?",
        data="starter:sonic-pi/sound-test.jsonl",
        modalities=("sound",),
        prompt="",
        kind=Probing("starter:sonic-pi/sound-train.jsonl"),
        scorer="probing-v1",
        target="meta:family",
        clusters=("media",),
    ),
)
