"""Media in keys or columns beside the messages: `{"messages": [...], "images": ["a.jpg"]}`, as most tools have them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omni.media.image import IMAGE_EXTENSIONS
from omni.media.item import Media, media_from_value

# Mark in a text -> modality. `<audio>` and `<sound>` are two spellings of one mark.
MARKS = {
    "<image>": "image",
    "<video>": "video",
    "<audio>": "sound",
    "<sound>": "sound",
    "<speech>": "speech",
    "<point_cloud>": "point_cloud",
    "<depth>": "depth",
    "<thermal>": "thermal",
    "<imu>": "imu",
}
# Key of a row -> modality: image, images, audio, sounds, ...
MEDIA_KEYS = {mark[1:-1] + plural: modality for mark, modality in MARKS.items() for plural in ("", "s")}

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_LONG = 200  # characters; no caption that stands in a key of media, but base64 text


def named_media(row: Mapping[str, Any]) -> dict[str, str]:
    """Return key -> modality of the keys of a row that hold media: by their names, and by what stands in them.

    `{"speech": "a man talks"}` or `{"depth": 3}` are words about the row, which join its `meta`. A key with nothing in
    it counts, so that a mark without its medium is noticed.
    """
    return {key: MEDIA_KEYS[key] for key in row if key in MEDIA_KEYS and _may_hold_media(row[key])}


def items_in(value: Any, modality: str, base: Path | None = None) -> list[Media]:
    """Return the media that a key's value holds: one, a list of them, or none (None, an empty text or list).

    A list of pictures' names in the place of one video is that video's frames, and numbers are one array.

    Raises:
        ValueError: the value holds something else.
    """
    is_one = not isinstance(value, list | tuple) or _is_numbers(value) or (modality == "video" and _is_frames(value))
    values = [value] if is_one else value
    return [media_from_value(modality, item, base) for item in values if not _is_nothing(item)]


def _may_hold_media(value: Any) -> bool:
    if _is_nothing(value):
        return True
    if isinstance(value, str):
        return value.startswith(("data:", "file:")) or len(value) > _LONG or bool(_ENDING.search(value.strip()))
    if isinstance(value, Mapping):
        return any(value.get(key) is not None for key in ("path", "bytes", "url", "array"))
    if isinstance(value, list | tuple):
        return all(map(_may_hold_media, value))
    return isinstance(value, bytes | bytearray | Image.Image | np.ndarray | Path)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple) and len(value) == 0)


def _is_numbers(value: Any) -> bool:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float)


def _is_frames(value: Any) -> bool:
    names = [item for item in value if isinstance(item, str)]
    return len(names) == len(value) > 0 and all(name.lower().endswith(IMAGE_EXTENSIONS) for name in names)
