"""Label prompts: texts with `{}` where the name of a class goes, whose embeddings are averaged.

CLIP's 80 templates for ImageNet (Radford et al. 2021, arXiv:2103.00020, section 3.1.4; the list is that of its published
notebook, `Prompt_Engineering_for_ImageNet.ipynb`) stand in `imagenet_templates.txt`, one a line.
"""

import importlib.resources


def imagenet_templates() -> tuple[str, ...]:
    """Return CLIP's 80 templates for ImageNet."""
    text = importlib.resources.files("eval.tasks").joinpath("imagenet_templates.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
