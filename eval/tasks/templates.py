"""Label prompts: texts with `{}` where the name of a class goes, whose embeddings are averaged.

`imagenet_templates.txt` has CLIP's 80 templates for ImageNet, one a line (Radford et al. 2021, arXiv:2103.00020,
section 3.1.4; the list is that of the published notebook `Prompt_Engineering_for_ImageNet.ipynb`).
"""

import importlib.resources


def imagenet_templates() -> tuple[str, ...]:
    """Return CLIP's 80 templates for ImageNet."""
    text = importlib.resources.files("eval.tasks").joinpath("imagenet_templates.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
