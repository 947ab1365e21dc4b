"""Animated pictures (GIF, PNG, WebP, AVIF, pages of TIFF): how long each frame is shown, and the frames.

A duration of 10 ms and less stands for none, as in browsers and FFmpeg: old programs wrote it for "as fast as can be".
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omni.media import png
from omni.media.apng import Apng
from omni.media.brightness import Range, joint_range, range_of
from omni.media.image import image_from_stored, on_white, open_image, to_rgb
from omni.media.stored import StoredNumbers, read_stored

_SHORTEST = 0.0101  # seconds; GIF counts hundredths
_GIF_TABLE, _GIF_EXTENSION, _GIF_IMAGE, _GIF_CONTROL = 0x80, 0x21, 0x2C, 0xF9


class Animation:
    """The frames of a picture, which may be one.

    Raises MediaError for a file that is damaged or no picture, and whatever Pillow raises on frames that are damaged.
    """

    def __init__(self, content: str | bytes | Image.Image, name: str) -> None:
        self._name = name
        self._apng: Apng | None = None
        self._skipped = 0  # hidden frames before the first
        self._data = data = b"" if isinstance(content, Image.Image) else _whole(content)
        if data.startswith(png.MAGIC) and b"acTL" in data:
            animated = Apng(data, name)
            self._apng = animated if animated.seconds else None
        self._image: Any = content if isinstance(content, Image.Image) else open_image(content, name)
        # Only the classes of formats that can be animated count frames; the second picture of a JPEG is no frame.
        count = 1 if self._image.format == "MPO" else int(getattr(self._image, "n_frames", 1))
        if self._apng is not None:
            self._seconds = self._apng.seconds
            return
        if getattr(self._image, "default_image", False):
            self._skipped, count = 1, count - 1
        self._seconds = self._stated_seconds(data, count)

    def times(self, usual: float) -> tuple[np.ndarray, float]:
        """Return when each frame begins, float64 `[T]`, and the length of the whole, in seconds.

        `usual` is the duration of frames that state none.
        """
        ends = np.cumsum([seconds if seconds > _SHORTEST else usual for seconds in self._seconds])
        return np.concatenate([[0.0], ends[:-1]]), float(ends[-1])

    def pictures(self, chosen: Sequence[int]) -> dict[int, Image.Image]:
        """Return the chosen frames as RGB, by their numbers."""
        if self._apng is not None:
            frames = enumerate(self._apng.pictures(max(chosen)))
            return {index: on_white(frame) for index, frame in frames if index in set(chosen)}
        scale = self._shared_range()
        found: dict[int, Image.Image] = {}
        for index in sorted(set(chosen)):  # some formats go forward only
            if len(self._seconds) > 1:
                self._image.seek(index + self._skipped)
            stored = self._stored(index)
            found[index] = to_rgb(
                self._image if stored is None else image_from_stored(stored, self._name, scale), self._name, scale
            )
        return found

    def _stored(self, index: int) -> StoredNumbers | None:
        """Return the numbers of a TIFF's page that Pillow changes, None of other pictures."""
        is_tiff = self._image.format == "TIFF" and self._data
        return read_stored(self._data, self._name, index) if is_tiff else None

    def _stated_seconds(self, data: bytes, count: int) -> list[float]:
        if count == 1:
            return [0.0]
        by_format = {"GIF": _gif_seconds, "WEBP": _webp_seconds}.get(self._image.format or "")
        stated = [*by_format(data)] if by_format and data else []
        return stated if len(stated) == count else [self._seconds_of(index + self._skipped) for index in range(count)]

    def _seconds_of(self, index: int) -> float:
        self._image.seek(index)
        if self._image.format in ("WEBP", "AVIF"):
            self._image.load()  # they tell a frame's duration only then
        return float(self._image.info.get("duration", 0)) / 1000

    def _shared_range(self) -> Range | None:
        """Return the range by which all pages of floats or 32 bits are scaled."""
        if len(self._seconds) == 1 or self._image.mode not in ("I", "F"):
            return None
        ranges = []
        for index in range(len(self._seconds)):
            self._image.seek(index)
            stored = self._stored(index)
            ranges.append(range_of(np.asarray(self._image) if stored is None else stored.values))
        return joint_range(ranges)


def _whole(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else Path(content).read_bytes()


def _gif_seconds(data: bytes) -> Iterator[float]:
    """Yield the duration of each frame of a GIF (GIF89a, 23), without decoding it."""
    place, seconds = 13, 0.0
    place += 3 << (data[10] & 7) + 1 if data[10] & _GIF_TABLE else 0
    while place + 10 <= len(data):
        kind = data[place]
        if kind == _GIF_EXTENSION:
            if data[place + 1] == _GIF_CONTROL:
                seconds = struct.unpack_from("<H", data, place + 4)[0] / 100
            place = _behind_blocks(data, place + 2)
        elif kind == _GIF_IMAGE:
            table = data[place + 9]
            place += 10 + (3 << (table & 7) + 1 if table & _GIF_TABLE else 0)
            place = _behind_blocks(data, place + 1)
            yield seconds
            seconds = 0.0
        else:
            return


def _behind_blocks(data: bytes, place: int) -> int:
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1


def _webp_seconds(data: bytes) -> Iterator[float]:
    """Yield the duration of each frame of a WebP (its chunks ANMF), without decoding it."""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"ANMF" and place + 24 <= len(data):
            yield int.from_bytes(data[place + 20 : place + 23], "little") / 1000
        place += 8 + length + length % 2
