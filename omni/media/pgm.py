"""PGM, the grey pictures of Netpbm, with the numbers that they store.

Pillow stretches numbers to 8 or 16 bits by the maximum in the header, which is right for brightness and wrong for
measured values. Format: https://netpbm.sourceforge.net/doc/pgm.html
"""

import re
import warnings
from typing import BinaryIO

import numpy as np

from omni.media.errors import MediaError
from omni.media.pixel_limit import check_pixels

MAGIC = tuple(b"P" + form + end for form in (b"2", b"5") for end in (b" ", b"\t", b"\r", b"\n", b"#"))

_LONGEST_HEADER = 1 << 16  # bytes, comments included
# Width, height and maximum behind white space and comments; one white character, before which a comment may stand.
_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})"
_HEADER = re.compile(rb"P[25]" + _NUMBER * 3 + rb"(?:#[^\r\n]*)?\s")


def read_pgm(file: BinaryIO, name: str) -> tuple[np.ndarray, int]:
    """Return the numbers of a PGM file, uint8 or uint16 `[H, W]`, and the maximum of its header, which is white.

    Raises:
        MediaError: it is damaged or cut off, or has too many pixels.
    """
    head = file.read(_LONGEST_HEADER)
    found = _HEADER.match(head)
    if not found:
        raise MediaError(name, "is damaged: its PGM header has no width, height and maximum")
    width, height, maximum = (int(number) for number in found.groups())
    if not (width and height and 0 < maximum < 65536):
        problem = f"is damaged: its PGM header says {width} x {height} with the maximum {maximum}"
        raise MediaError(name, f"{problem}, which must be from 1 to 65535")
    check_pixels(width, height, name)
    body = head[found.end() :] + file.read()
    dtype = np.dtype(np.uint8 if maximum < 256 else ">u2")
    values = _plain(body, width * height) if head.startswith(b"P2") else _raw(body, width * height, dtype)
    if values is None:
        raise MediaError(name, f"is damaged or cut off: it does not hold {width} x {height} numbers")
    if head.startswith(b"P2") and (values.min() < 0 or values.max() > maximum):
        raise MediaError(name, f"is damaged: it holds numbers beyond its maximum of {maximum}")
    return values.reshape(height, width).astype(dtype.newbyteorder("=")), maximum


def _raw(body: bytes, count: int, dtype: np.dtype) -> np.ndarray | None:
    if len(body) < count * dtype.itemsize:
        return None
    return np.frombuffer(body, dtype, count)


def _plain(body: bytes, count: int) -> np.ndarray | None:
    text = re.sub(rb"#[^\r\n]*", b"", body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # it tells of anything that is no number
            values = np.fromstring(text.decode("ascii"), dtype=np.int64, sep=" ", count=count)
    except (ValueError, DeprecationWarning):
        return None
    return values if len(values) == count else None
