"""Tasks for joint spaces on the starter data: retrieval in several directions, and embedding arithmetic."""

from eval.kinds import Retrieve
from eval.task import Task

TRIPLETS = "starter:stamps/triplet-test.jsonl"
_BOTH = ("image", "sound")
_NO_PROBE = "retrieval has no classes to probe for"


def _retrieval(name: str, description: str, modalities: tuple[str, ...], kind: Retrieve, data: str) -> Task:
    return Task(
        name=name,
        version=1,
        description=description,
        data=data,
        modalities=modalities,
        prompt="",
        kind=kind,
        scorer="retrieval-v1",
        num_shuffles=4,
        no_probe=_NO_PROBE,
    )


TASKS = (
    _retrieval(
        "text-to-image-retrieval",
        "Which held-out picture does the caption mean?",
        ("image",),
        Retrieve("text", "image"),
        "starter:stamps/image-test.jsonl",
    ),
    _retrieval(
        "image-to-text-retrieval",
        "Which held-out caption belongs to the picture?",
        ("image",),
        Retrieve("image", "text"),
        "starter:stamps/image-test.jsonl",
    ),
    _retrieval(
        "sound-to-image-retrieval",
        "Which picture belongs to the sound? Of stamps that have both.",
        _BOTH,
        Retrieve("sound", "image"),
        TRIPLETS,
    ),
    _retrieval(
        "image-to-sound-retrieval",
        "Which sound belongs to the picture? Of stamps that have both.",
        _BOTH,
        Retrieve("image", "sound"),
        TRIPLETS,
    ),
    _retrieval(
        "image-sound-arithmetic",
        "Which caption belongs to the sum of picture and sound, and to one of them alone?",
        _BOTH,
        Retrieve("image+sound", "text"),
        TRIPLETS,
    ),
)
