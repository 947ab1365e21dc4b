"""One media item of a message: where its content is, its name in errors, and its hash for caches."""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from omni.media.spelling import content_in_base64, find_spelling

_HIGHEST_RATE = 10**12  # Hz; loaders have limits of their own

MediaData = bytes | np.ndarray | Image.Image | tuple[Image.Image, ...]


@dataclass(frozen=True, eq=False)
class Media:
    """One media item, not yet read. Exactly one of `path`, `data` and `features` is set.

    `path` is a file, or a list of files in order (the frames of a video). `data` is an encoded file as bytes, an array,
    a picture, or a tuple of pictures. `features` is an array or a `.npy`/`.safetensors` file of ready-made embeddings;
    `row` names one row of it. `sampling_rate` is in Hz. `options` go to the loader of the modality (`{"start": 1.0,
    "end": 3.5}` in seconds for sound, `{"num_frames": 8}` for video).
    """

    modality: str
    path: str | list[str] | None = None
    data: MediaData | None = None
    sampling_rate: int | None = None
    features: str | np.ndarray | None = None
    row: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))
        elif isinstance(self.path, list):
            object.__setattr__(self, "path", [os.fspath(path) for path in self.path])
        if isinstance(self.data, bytearray | memoryview):
            object.__setattr__(self, "data", bytes(self.data))
        given = [name for name in ("path", "data", "features") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise ValueError(f"a {self.modality!r} item needs exactly one of path, data and features, but has {found}")

    def with_defaults(self, options: Mapping[str, Any] | None) -> "Media":
        """Return the same item with each of these loader `options` that it does not set itself."""
        return replace(self, options={**options, **self.options}) if options else self

    def describe(self) -> str:
        """Return a few words for error messages, such as `image animals/frog.png`."""
        if isinstance(self.path, str):
            return f"{self.modality} {self.path}"
        if self.path is not None:
            return f"{self.modality} of {len(self.path)} files, the first {self.path[0]}"
        if self.features is not None:
            source = self.features if isinstance(self.features, str) else _describe_data(self.features)
            return f"{self.modality} features {source}" + ("" if self.row is None else f" row {self.row}")
        rate = "" if self.sampling_rate is None else f" at {self.sampling_rate} Hz"
        return f"{self.modality} {_describe_data(self.data)}{rate}"

    def content_hash(self) -> str:
        """Return the sha256 (hex) of the content, for caches.

        It covers a file's bytes, or an array's bytes, dtype and shape, and the sampling rate, row and options where
        they are set.

        A file is read again only when its size or modification time has changed. Files that a file refers to (the
        materials of an OBJ) are not part of it.

        Raises:
            FileNotFoundError: a file is missing.
        """
        if self.path is not None:
            digest = hash_file(self.path) if isinstance(self.path, str) else _hash_texts(map(hash_file, self.path))
        elif isinstance(self.features, str):
            digest = hash_file(self.features)
        else:
            digest = self._data_digest
        details = {"sampling_rate": self.sampling_rate, "row": self.row, "options": self.options or None}
        set_details = {key: value for key, value in details.items() if value is not None}
        return _hash_texts([digest, json.dumps(set_details, sort_keys=True, default=repr)]) if set_details else digest

    @cached_property
    def _data_digest(self) -> str:
        return _hash_data(self.data if self.data is not None else cast(np.ndarray, self.features))

    def __eq__(self, other: object) -> bool:
        """Compare all fields, arrays by content (the generated comparison would fail on them)."""
        if not isinstance(other, Media):
            return NotImplemented
        plain = ("modality", "path", "sampling_rate", "row", "options")
        return all(getattr(self, name) == getattr(other, name) for name in plain) and all(
            _same_content(getattr(self, name), getattr(other, name)) for name in ("data", "features")
        )

    def __hash__(self) -> int:
        return hash((self.modality, str(self.path), self.sampling_rate, self.row))


def media_from_value(modality: str, value: Any, base: Path | None = None, sampling_rate: int | None = None) -> Media:
    """Make a `Media` from any of the values that commonly stand for one.

    Accepted: a path, a list of paths (frames), a `file:` or `data:` URL, bytes, a picture, a list of pictures, an array
    (or a list of numbers), `(array, sampling_rate)`, and the dictionaries of `datasets` (`{"bytes", "path"}`,
    `{"array", "sampling_rate"}`).

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, str | Path):
        return _media_from_text(modality, str(value), base)
    if isinstance(value, bytes | bytearray | memoryview):
        return Media(modality, data=bytes(value), sampling_rate=sampling_rate)
    if isinstance(value, Image.Image):
        return Media(modality, data=value)
    if isinstance(value, Mapping):
        return _media_from_mapping(modality, value, base)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int | np.integer):
        return Media(modality, data=as_array(value[0]), sampling_rate=as_sampling_rate(value[1]))
    if isinstance(value, list | tuple) and value and all(isinstance(item, str | Path) for item in value):
        return Media(modality, path=[local_path(str(item), base) for item in value])
    if isinstance(value, list | tuple) and value and all(isinstance(item, Image.Image) for item in value):
        return Media(modality, data=tuple(value))
    return Media(modality, data=as_array(value), sampling_rate=sampling_rate)


def hash_file(path: str) -> str:
    """Return the sha256 (hex) of a file's bytes, remembered until the file's size or modification time changes."""
    status = os.stat(path)
    return _hash_file_as_of(os.path.abspath(path), status.st_size, status.st_mtime_ns)


def _media_from_mapping(modality: str, value: Mapping[str, Any], base: Path | None) -> Media:
    """Read a dictionary of `datasets`; where it has both bytes and path, the path is only the bytes' former name."""
    rate = None if value.get("sampling_rate") is None else as_sampling_rate(value["sampling_rate"])
    if value.get("array") is not None:
        return Media(modality, data=as_array(value["array"]), sampling_rate=rate)
    if value.get("bytes") is not None:
        return Media(modality, data=decode_bytes(value["bytes"], "bytes"), sampling_rate=rate)
    location = value.get("path", value.get("url"))
    if isinstance(location, str):
        return _media_from_text(modality, location, base)
    raise ValueError(f"expected 'bytes', 'path' or 'array' in {shorten(dict(value))}")


def _media_from_text(modality: str, text: str, base: Path | None) -> Media:
    if not text.startswith("data:"):
        content = content_in_base64(text)
        return Media(modality, path=local_path(text, base)) if content is None else Media(modality, data=content)
    header, comma, payload = text.partition(",")
    if not comma or not header.endswith(";base64"):
        raise ValueError(f"a data: URL must be base64 (data:image/png;base64,...), got {shorten(text)}")
    return Media(modality, data=decode_bytes(payload, "data: URL"))


def local_path(text: str, base: Path | None) -> str:
    """Return the path that `text` names, absolute if there is a `base`; raise ValueError if it is not a local file."""
    if not text:
        raise ValueError("the path is empty")
    if "\0" in text:
        raise ValueError(f"the path {shorten(text)} holds a zero character")
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif "://" in text:
        raise ValueError(
            f"{shorten(text)} is not a local file; nothing is downloaded here, so fetch it first and give its path"
        )
    return find_spelling(text, base)


def decode_bytes(value: Any, key: str) -> bytes:
    """Return bytes from bytes or base64 text, the value of `key`."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} must be bytes or base64 text, got {shorten(value)}")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{key!r} is not valid base64 ({error})") from error


def as_array(value: Any) -> np.ndarray:
    """Return an array of numbers from an array, a CPU tensor or nested lists."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"expected an array of numbers, got {shorten(value)} ({error})") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"expected an array of numbers, got {shorten(value)}")
    return array


def as_sampling_rate(value: Any) -> int:
    """Return a sampling rate in Hz as int; raise ValueError if it is not a positive whole number."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not 0 < value <= _HIGHEST_RATE or not float(value).is_integer():
        raise ValueError(f"'sampling_rate' must be a positive whole number in Hz, got {shorten(value)}")
    return int(value)


@lru_cache(maxsize=100_000)
def _hash_file_as_of(path: str, size: int, modified_nanoseconds: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_texts(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _hash_data(data: MediaData) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    if isinstance(data, tuple):
        return _hash_texts(map(_hash_data, data))
    if isinstance(data, Image.Image):
        # Palette, transparency, orientation and profile change what the pixels mean.
        palette = data.getpalette() if data.mode in ("P", "PA") else None
        details: tuple[Any, ...] = (data.mode, data.size, palette)
        details += (data.info.get("transparency"), data.getexif().get(0x0112))
        if data.info.get("icc_profile"):
            details += (data.info["icc_profile"],)
        return hashlib.sha256(repr(details).encode() + data.tobytes()).hexdigest()
    array = np.ascontiguousarray(data)
    return hashlib.sha256(f"{array.dtype.str} {np.shape(data)}".encode() + array.tobytes()).hexdigest()


def _same_content(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    return type(first) is type(second) and first == second


def _describe_data(data: MediaData | None) -> str:
    if isinstance(data, np.ndarray):
        return _describe_array(data)
    if isinstance(data, Image.Image):
        return f"picture {data.mode} {data.width}x{data.height}"
    if isinstance(data, bytes | tuple):
        return f"of {len(data)} {'pictures' if isinstance(data, tuple) else 'bytes'}"
    return f"{type(data).__name__} {shorten(data)}"  # no loader takes it, and the loader's error will use this name


def _describe_array(array: np.ndarray) -> str:
    return f"array {array.dtype} {list(array.shape)}"


def shorten(value: Any) -> str:
    """Return a value as an error message shows it, cut short."""
    text = f"a {type(value).__name__}"
    if not isinstance(value, np.ndarray | bytes):
        with suppress(RecursionError, ValueError):  # of values in values in ..., and of numbers of 5000 digits
            text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
