"""JPEG files whose end mark is missing: whether their pixels are all there. Format: ITU-T T.81."""

import io
import re
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from omni.media.errors import MediaError

MAGIC = b"\xff\xd8\xff"

_END = b"\xff\xd9"
# What stands between the last pixel and the end mark is skipped. Where pixels are missing, it is read as pixels.
_FILLERS = (b"\x5a" * 32, b"\x2f" * 32, b"\xd3" * 32, b"\x8c" * 32)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_SCAN, _INTERVAL = 0xDA, 0xDD
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_WITHOUT_BODY = {0x01, *range(0xD0, 0xDA)}
_COEFFICIENTS = 64


def with_end_mark(data: bytes) -> bytes | None:
    """Return a JPEG with the end mark that it lacks, or None if pixels are missing too.

    Raises whatever Pillow raises on broken bytes, which has no common class.
    """
    if not _has_every_scan(data) or not _has_every_restart(data):
        return None
    body = data.rstrip(b"\0")  # a mark that was never written, or the rest of a disk's block
    if body.endswith(b"\xff"):  # half of the mark, or of a 255 among the pixels, which is stored as 255, 0
        return next((each + _END for each in (body[:-1], body + b"\0") if _is_complete(each)), None)
    if _is_complete(body):
        return body + _END
    # The last byte of pixels can be zero; then its last bit matters, as bits to fill up a byte are 1 (T.81, F.1.2.3).
    is_zero_last = len(data) > len(body) and _is_complete(body + b"\0")
    matters = is_zero_last and not np.array_equal(_pixels(body + b"\0" + _END), _pixels(body + b"\1" + _END))
    return body + b"\0" + _END if matters else None


def check_end(data: bytes, name: str) -> None:
    """Raise MediaError if zeros stand where a JPEG's last pixels should, as after a download that broke off: libjpeg
    takes them for pixels."""
    if not data.rstrip(b"\0").endswith(_END) and with_end_mark(data) is None:
        raise MediaError(name, "is damaged or cut off (it ends in zeros instead of pixels); fetch or export it again")


def _is_complete(data: bytes) -> bool:
    first = _pixels(data + _END)
    return all(np.array_equal(first, _pixels(data + filler + _END)) for filler in _FILLERS)


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image)


def _has_every_scan(data: bytes) -> bool:
    """Tell whether all coefficients of all components are sent to their last bit. (The data of the last scan can still
    be cut off.)"""
    components: set[int] = set()
    sent: set[tuple[int, int]] = set()
    is_progressive = False
    for marker, body, _ in _segments(data):
        if marker in _FRAMES and len(body) >= 6:
            is_progressive = marker in _PROGRESSIVE
            components = {body[place] for place in range(6, min(len(body), 6 + 3 * body[5]), 3)}
        elif marker == _SCAN and body and len(body) >= 4 + 2 * body[0]:
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            if not is_progressive:
                first, last, bits = 0, _COEFFICIENTS - 1, 0
            if bits & 0xF == 0:
                named = [body[1 + 2 * index] for index in range(body[0])]
                sent |= {(one, place) for one in named for place in range(first, min(last + 1, _COEFFICIENTS))}
    return bool(components) and len(sent) >= _COEFFICIENTS * len(components)


def _has_every_restart(data: bytes) -> bool:
    """Tell whether the last scan has all its restart marks: where one is due, decoders skip all that is no mark, so a
    cut in front of one would go unnoticed (T.81, E.2.4)."""
    width = height = interval = num_units = begin = 0
    factors: dict[int, tuple[int, int]] = {}  # component -> horizontal and vertical samples in a unit
    for marker, body, end in _segments(data):
        if marker in _FRAMES and len(body) >= 6:
            height, width = struct.unpack_from(">HH", body, 1)
            parts = (body[place : place + 3] for place in range(6, 6 + 3 * body[5], 3))
            factors = {part[0]: (max(part[1] >> 4, 1), max(part[1] & 15, 1)) for part in parts if len(part) == 3}
        elif marker == _INTERVAL and len(body) >= 2:
            (interval,) = struct.unpack_from(">H", body)
        elif marker == _SCAN and body:
            named = [factors.get(body[1 + 2 * index], (1, 1)) for index in range(min(body[0], (len(body) - 1) // 2))]
            num_units, begin = _num_units(width, height, [*factors.values()], named), end
    due = -(-num_units // interval) - 1 if interval else 0
    return len(_RESTART.findall(data, begin)) >= due


def _num_units(width: int, height: int, factors: list[tuple[int, int]], named: list[tuple[int, int]]) -> int:
    """Return the coded units of a scan with the components of `named`: blocks of one, or groups of blocks of several
    (T.81, A.2)."""
    across, down = (max((pair[axis] for pair in factors), default=1) for axis in (0, 1))
    if len(named) != 1:
        return -(-width // (8 * across)) * -(-height // (8 * down))
    return -(-width * named[0][0] // (8 * across)) * -(-height * named[0][1] // (8 * down))


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the markers that have a body, with it and where it ends; what is between them is skipped."""
    place = 2
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 4 > len(data):
            return
        marker = data[place + 1]
        if marker in (0x00, 0xFF) or marker in _WITHOUT_BODY:
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield marker, data[place + 4 : place + 2 + length], place + 2 + length
        place += 2 + max(length, 2)
