"""Which of two media of different modalities has a property? DisCRn's questions on starter data, from metadata."""

from eval.task import Choose, Task

_STAMPS = "starter:stamps"
_FURNITURE = "starter:furniture/object-test.jsonl"
_DATA = {
    ("image", "sound"): f"pairs:category:{_STAMPS}/image-test.jsonl,{_STAMPS}/sound-test.jsonl",
    ("image", "point_cloud"): f"pairs:category:{_STAMPS}/image-test.jsonl,{_FURNITURE}",
    ("sound", "point_cloud"): f"pairs:category:{_STAMPS}/sound-test.jsonl,{_FURNITURE}",
}

TASKS = tuple(
    Task(
        name=f"reasoning-{first}-{second.replace('_', '-')}".replace("point-cloud", "object"),
        version=1,
        description=f"Which of the two belongs to a category, {first} or {second.replace('_', ' ')}?",
        data=data,
        modalities=(first, second),
        prompt=None,
        kind=Choose("meta:options"),
        scorer="choice-sum-v1",
        target="meta:answer",
        clusters=("media",),
        no_probe="the answer is a place, not a class",
    )
    for (first, second), data in _DATA.items()
)
