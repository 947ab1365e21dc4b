"""Animated PNG, drawn as its specification says, which Pillow does not: a hidden default image is no frame and leaves
no trace, and what is disposed of becomes transparent, in pictures without transparency too.

Format: https://www.w3.org/TR/png-3, 4.9 and 11.3.6
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from omni.media.errors import MediaError
from omni.media.image import open_image, with_alpha
from omni.media.pixel_limit import check_pixels
from omni.media.png import MAGIC, chunk_bytes, chunks_of

_SHARED = (b"PLTE", b"tRNS", b"iCCP")  # what the pixels of all frames mean
_BACKGROUND, _PREVIOUS = 1, 2  # what comes after a frame
_OVER = 1  # blended, not copied
_CLEAR = (0, 0, 0, 0)


@dataclass
class _Frame:
    width: int
    height: int
    left: int
    top: int
    seconds: float
    disposal: int
    blending: int
    data: list[bytes] = field(default_factory=list)


class Apng:
    """The frames of an animated PNG; `seconds` are their durations. Without an animation, there are none."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        self._header = b""
        self._shared: list[bytes] = []
        self._frames: list[_Frame] = []
        is_animated = False
        for chunk in chunks_of(data):
            if chunk.kind == b"IHDR":
                self._header = chunk.body
            elif chunk.kind in _SHARED and chunk.is_whole:
                self._shared.append(chunk_bytes(chunk.kind, chunk.body))
            elif chunk.kind == b"acTL":
                is_animated = True
            elif chunk.kind == b"fcTL" and is_animated and len(chunk.body) >= 26:
                self._frames.append(_parse(chunk.body))
            elif chunk.kind == b"IDAT" and self._frames:
                self._frames[-1].data.append(chunk.body)
            elif chunk.kind == b"fdAT" and self._frames:
                self._frames[-1].data.append(chunk.body[4:])
        self._frames = [frame for frame in self._frames if frame.data]
        self.seconds = [frame.seconds for frame in self._frames]

    def pictures(self, last: int) -> Iterator[Image.Image]:
        """Yield the frames up to number `last`, as RGBA.

        Raises:
            MediaError: one is damaged, stands outside the picture, or has too many pixels.
        """
        width, height = struct.unpack_from(">II", self._header)
        check_pixels(width, height, self._name)
        canvas = Image.new("RGBA", (width, height), _CLEAR)
        for frame in self._frames[: last + 1]:
            area = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
            if area[2] > width or area[3] > height:
                raise MediaError(self._name, "is damaged: a frame of its animation stands outside the picture")
            before = canvas
            canvas = canvas.copy()
            drawn = self._decoded(frame)
            if frame.blending == _OVER:
                canvas.alpha_composite(drawn, (frame.left, frame.top))
            else:
                canvas.paste(drawn, area)
            yield canvas
            if frame.disposal == _PREVIOUS:
                canvas = before
            elif frame.disposal == _BACKGROUND:
                canvas = canvas.copy()
                canvas.paste(_CLEAR, area)

    def _decoded(self, frame: _Frame) -> Image.Image:
        header = struct.pack(">II", frame.width, frame.height) + self._header[8:]
        pixels = b"".join(chunk_bytes(b"IDAT", piece) for piece in frame.data)
        whole = [MAGIC, chunk_bytes(b"IHDR", header), *self._shared, pixels, chunk_bytes(b"IEND", b"")]
        with open_image(b"".join(whole), self._name) as image:
            return with_alpha(image, self._name).convert("RGBA")


def _parse(body: bytes) -> _Frame:
    _, width, height, left, top, numerator, denominator, disposal, blending = struct.unpack_from(">5I2H2B", body)
    return _Frame(width, height, left, top, numerator / (denominator or 100), disposal, blending)
