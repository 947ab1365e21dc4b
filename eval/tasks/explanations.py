"""Deletion tests of explanations on the starter data: do maps find what the right answer stands on?"""

from eval.kinds import Deletion
from eval.task import Task
from eval.tasks import sound
from eval.tasks.image import PROMPT, STAMPS_TEST

TASKS = (
    Task(
        name="explain-image",
        version=1,
        description="Do maps of a picture find what its caption stands on?",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Deletion(),
        scorer="deletion-v1",
        limit=24,
    ),
    Task(
        name="explain-sound",
        version=1,
        description="Do maps of a sound find what its description stands on?",
        data="starter:sonic-pi/sound-test.jsonl",
        modalities=("sound",),
        prompt=sound.PROMPT,
        kind=Deletion(parts=12),
        scorer="deletion-v1",
        limit=24,
    ),
)
