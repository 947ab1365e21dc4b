"""Zero-shot classification of ImageNet-1k and its variants: the likeliest class name among those that the rows list.

A joint space compares the picture with the mean of CLIP's 80 templates of each name, as published figures do. An LLM is
asked once, and says each name in CLIP's plainest template: a mean over texts has no counterpart in likelihoods, and 80
prompts would ask it 80 times.
"""

from dataclasses import replace

from eval.task import Task
from eval.tasks.benchmark_tasks import classes
from eval.tasks.templates import imagenet_templates

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
    replace(
        classes(
            name,
            data,
            "image",
            f"{what}: which class? A joint space takes CLIP's 80 templates, an LLM one prompt.",
            prompt=PROMPT,
            answer_form=ANSWER,
            scorer="classification-sum-v1",
            templates=imagenet_templates(),
        ),
        version=2,  # of joint spaces, which compared with one template in version 1
    )
    for name, (data, what) in _SETS.items()
)
