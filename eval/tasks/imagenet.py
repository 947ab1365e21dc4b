"""Zero-shot classification of ImageNet-1k and its variants by an LLM: the likeliest class name."""

from eval.task import Task
from eval.tasks.benchmark_tasks import classes

# CLIP's plainest template; the classes are those that the rows list.
PROMPT = "describe the image"
ANSWER = "a photo of a {answer}"
_SETS = {
    "imagenet": ("official:imagenet/val", "ImageNet-1k, validation"),
    "imagenet-v2": ("official:imagenet-v2/test", "ImageNet-V2, matched frequency"),
    "imagenet-a": ("official:imagenet-a/test", "ImageNet-A, among its 200 classes"),
    "imagenet-r": ("official:imagenet-r/test", "ImageNet-R, among its 200 classes"),
    "imagenet-sketch": ("official:imagenet-sketch/test", "ImageNet-Sketch"),
}
TASKS: tuple[Task, ...] = tuple(
    classes(
        name,
        data,
        "image",
        f"{what}: which class is on the picture?",
        prompt=PROMPT,
        answer_form=ANSWER,
        scorer="classification-sum-v1",
    )
    for name, (data, what) in _SETS.items()
)
