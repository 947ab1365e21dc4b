"""What may stand for the items of a joint space: paths, bytes, arrays and texts as `Media`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from omni.media.errors import MediaError
from omni.media.item import Media, media_from_value, shorten
from omni.samples.messages import Sample

TEXT = "text"


def as_media(modality: str, items: Sequence[Any]) -> list[Media]:
    """Items of one modality as `Media`; a string is a text in the modality `text`, else a path.

    Raises:
        ValueError: `items` is a single item, or no list.
        MediaError: an item cannot be media of any kind.
    """
    if isinstance(items, str | bytes | Path | Media | Mapping | np.ndarray) or not isinstance(items, Sequence):
        raise ValueError(f"{modality}: expected a list of items, got {shorten(items)}; put a single item into a list")
    return [_one(modality, item, number) for number, item in enumerate(items)]


def text_media(text: str) -> Media:
    """A text as an item of the modality `text`."""
    return Media(TEXT, data=text.encode())


def text_of(sample: Sample) -> str:
    """Return the text that belongs to the media of a row: the last answer, else the text of the first user turn."""
    return (sample.last_answer or next((one.text for one in sample.messages if one.role == "user"), "")).strip()


def label_texts(labels: Sequence[str], templates: Sequence[str] | None) -> list[str]:
    """Return the texts of labels in templates, all of the first label first; None = the labels alone.

    Raises:
        ValueError: there are no labels, or a template has no `{}`.
    """
    if isinstance(labels, str) or not labels:
        raise ValueError(f"labels must be a list of at least one name, got {labels!r}")
    templates = ["{}"] if templates is None else [templates] if isinstance(templates, str) else templates
    wrong = [template for template in templates if "{}" not in template]
    if wrong or not templates:
        raise ValueError(f"each template needs {{}} where the label goes, such as 'a photo of a {{}}.'; got {wrong}")
    return [template.replace("{}", label) for label in labels for template in templates]


def is_single(query: Any) -> bool:
    """Whether a query means one item, not a list of them."""
    if isinstance(query, Tensor | np.ndarray):
        return query.ndim == 1
    return isinstance(query, str | Media)


def _one(modality: str, item: Any, number: int) -> Media:
    if isinstance(item, Media):
        return item if item.modality == modality else replace(item, modality=modality)
    if modality == TEXT and isinstance(item, str):
        if not item.strip():
            raise MediaError(f"text number {number}", "is empty")
        return text_media(item)
    try:
        return media_from_value(modality, item)
    except ValueError as error:
        raise MediaError(f"{modality} number {number}", str(error)) from error
