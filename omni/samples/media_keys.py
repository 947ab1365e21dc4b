"""Media in keys of a row (`{"messages": [...], "images": ["a.jpg"]}`, as in most tools) or of a turn (Ollama)."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omni.media.image import IMAGE_EXTENSIONS
from omni.media.item import Media, media_from_value
from omni.media.spelling import content_in_base64
from omni.samples.sample import SampleError, resolve_modality

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


def named_media(row: Mapping[str, Any], names: Mapping[str, str] = MEDIA_KEYS) -> dict[str, str]:
    """Return key -> modality of the keys of a row or turn that hold media: by `names`, and by what stands in them.

    `{"speech": "a man talks"}` or `{"depth": 3}` are words about the row, which join its `meta`. A key with nothing in
    it counts, so that a mark without its medium is noticed.
    """
    return {key: names[key] for key in row if key in names and _may_hold_media(row[key])}


def media_in_keys(
    row: Mapping[str, Any],
    keys: Mapping[str, str],
    base: Path | None,
    modalities: Collection[str] | None,
    sample_id: str,
    where: str = "",
) -> dict[str, list[Media]]:
    """Return the media in the `keys` (key -> modality) of a row or turn by modality, in the order of the keys.

    None is no key at all. `where` follows the key's name in errors.

    Raises:
        SampleError: a key holds something else, or its modality is not among `modalities`.
    """
    found: dict[str, list[Media]] = {}
    for key, modality in keys.items():
        if row[key] is None:
            continue
        try:
            modality = _allowed(modality, modalities)
            found.setdefault(modality, []).extend(items_in(row[key], modality, base))
        except ValueError as error:
            raise SampleError(sample_id, f"{key!r}{where}: {error}") from error
    return found


def items_in(value: Any, modality: str, base: Path | None = None) -> list[Media]:
    """Return the media that a key's value holds: one, a list of them, or none (None, an empty text or list).

    A list of pictures' names in the place of one video is that video's frames, and numbers are one array.

    Raises:
        ValueError: the value holds something else.
    """
    is_list = isinstance(value, list | tuple) and not _has_rate(value)
    is_one = not is_list or _is_numbers(value) or (modality == "video" and _is_frames(value))
    values = [value] if is_one else value
    return [media_from_value(modality, item, base) for item in values if not _is_nothing(item)]


def _allowed(modality: str, modalities: Collection[str] | None) -> str:
    """Return the modality of a key; sounds of a model that hears only speech are speech."""
    is_other_sound = modality == "sound" and modalities is not None and "sound" not in modalities
    return resolve_modality("audio" if is_other_sound else modality, modalities)


def _may_hold_media(value: Any) -> bool:
    if _is_nothing(value):
        return True
    if isinstance(value, str):
        is_named = value.startswith(("data:", "file:")) or bool(_ENDING.search(value.strip()))
        return is_named or len(value) > _LONG or content_in_base64(value) is not None
    if isinstance(value, Mapping):
        return any(value.get(key) is not None for key in ("path", "bytes", "url", "array"))
    if isinstance(value, list | tuple):
        items = [item for item in value if not _is_nothing(item)]
        return not items or any(map(_may_hold_media, items))
    return not isinstance(value, int | float | np.generic)  # bytes, a picture, an array, a tensor, ...


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple) and len(value) == 0)


def _is_numbers(value: Any) -> bool:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float)


def _has_rate(value: Any) -> bool:
    """Return whether a value is `(array, sampling_rate)`."""
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int) and not _is_numbers(value)


def _is_frames(value: Any) -> bool:
    names = [item for item in value if isinstance(item, str)]
    return len(names) == len(value) > 0 and all(name.lower().endswith(IMAGE_EXTENSIONS) for name in names)
