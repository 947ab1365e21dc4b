"""TIFF of number types that Pillow refuses or changes: 8 to 64 bits, signed, floats, and those with 0 as white.

libtiff, through Pillow, unpacks them as bytes, and the bytes are then read as the numbers that the tags declare.
Format: TIFF 6.0 (1992), BigTIFF, and Adobe's Technical Note 3 (2005) on differences of floats.
"""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from omni.media.errors import MediaError
from omni.media.pixel_limit import check_pixels

MAGIC = (b"II*\0", b"MM\0*", b"II+\0")  # Pillow reads BigTIFF of this byte order only

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANAR, _PREDICTOR, _TILE_WIDTH = 274, 277, 284, 317, 322
_EXTRA, _FORMAT = 338, 339
_UNUSED = 65000  # of the numbers that anyone may use
_SHORT, _LONG = 3, 4
_INTEGER_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}
_BYTEWISE_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 50000)  # none, LZW, Deflate, PackBits, LZMA, Zstandard
_KINDS = {1: "u", 2: "i", 3: "f"}
_MOST_ENTRIES = 4096


@dataclass
class _Directory:
    """The tags of a page: their numbers, and where they and their entries stand in the file."""

    order: str
    is_big: bool
    values: dict[int, tuple[int, ...]]
    places: dict[int, int]
    start: int

    def get(self, tag: int, default: int) -> int:
        """Return the first number of a tag."""
        return self.values.get(tag, (default,))[0]


def read_tiff(file: BinaryIO, name: str, page: int = 0) -> tuple[np.ndarray, bool] | None:
    """Return the stored numbers of a page, `[H, W]` or `[H, W, 2 to 4]`, and whether 0 is white.

    Returns None for TIFF that Pillow reads as it is meant (8 bits, 16 bits of grey, palettes, CMYK, JPEG, ...), or that
    is damaged in a way that Pillow tells.

    Raises:
        MediaError: it is damaged or cut off, or has too many pixels.
    """
    try:
        tags = _read_directory(file, page)
    except (struct.error, KeyError, ValueError, OSError, OverflowError):  # of offsets beyond all files
        return None
    dtype, samples = _number_type(tags), tags.get(_SAMPLES, 1)
    if dtype is None:
        return None
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    check_pixels(width, height, name)
    tile_width = tags.get(_TILE_WIDTH, 0)
    padded = width if not tile_width else -(-width // tile_width) * tile_width
    scale = samples * dtype.itemsize
    file.seek(0)
    data = bytearray(file.read())
    _declare_bytes(data, tags, padded * scale, tile_width * scale)
    place, form = (8, "Q") if tags.is_big else (4, "I")
    struct.pack_into(tags.order + form, data, place, tags.start)  # the page becomes the first one
    try:
        rows = np.asarray(TiffImageFile(io.BytesIO(bytes(data)))).reshape(height, padded * scale)
    except Image.DecompressionBombError as error:
        problem = f"takes {height * padded * scale} bytes of numbers, over the limit ({error})"
        raise MediaError(name, f"{problem}; make it smaller, or store fewer bits") from error
    except Exception as error:  # decoders of broken bytes raise nearly anything
        raise MediaError(name, f"is damaged or cut off ({error}); fetch or export it again") from error
    values = _numbers(rows, dtype, samples, tile_width or padded, tags.get(_PREDICTOR, 1))[:, :width]
    values = values[:, :, 0] if samples == 1 else values
    return _oriented(values, tags.get(_ORIENTATION, 1)), tags.get(_PHOTOMETRIC, 1) == 0


def _read_directory(file: BinaryIO, page: int) -> _Directory:
    file.seek(0)
    head = file.read(16)
    order = "<" if head.startswith(b"II") else ">"
    is_big = b"+" in head[:4]
    (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), head, 8 if is_big else 4)
    size, inline = (20, 8) if is_big else (12, 4)
    for _ in range(page):
        count = _num_entries(file, place, order, is_big)
        file.seek(size * count, io.SEEK_CUR)
        (place,) = struct.unpack(order + ("Q" if is_big else "I"), file.read(inline))
    start = place
    count = _num_entries(file, place, order, is_big)
    place += 8 if is_big else 2
    entries = file.read(size * min(count, _MOST_ENTRIES))
    tags = _Directory(order, is_big, {}, {}, start)
    for index in range(len(entries) // size):
        tag, kind, number = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), entries, index * size)
        tags.places[tag] = place + index * size
        if kind not in _INTEGER_TYPES or not 0 < number <= 16:
            continue
        form = f"{order}{number}{_INTEGER_TYPES[kind]}"
        begin = (index + 1) * size - inline
        content = entries[begin : begin + inline]
        if struct.calcsize(form) > inline:
            file.seek(struct.unpack(order + ("Q" if is_big else "I"), content)[0])
            content = file.read(struct.calcsize(form))
        tags.values[tag] = struct.unpack_from(form, content)
    return tags


def _num_entries(file: BinaryIO, place: int, order: str, is_big: bool) -> int:
    file.seek(place)
    return struct.unpack(order + ("Q" if is_big else "H"), file.read(8 if is_big else 2))[0]


def _number_type(tags: _Directory) -> np.dtype | None:
    """Return the type of the stored numbers, or None where Pillow is right (see `read_tiff`)."""
    bits, formats = set(tags.values.get(_BITS, (1,))), set(tags.values.get(_FORMAT, (1,)))
    photometric, samples = tags.get(_PHOTOMETRIC, 1), tags.get(_SAMPLES, 1)
    is_simple = (
        len(bits) == len(formats) == 1
        and tags.get(_COMPRESSION, 1) in _BYTEWISE_COMPRESSIONS
        and (tags.get(_PLANAR, 1) == 1 or samples == 1)
        and (photometric in (0, 1) if samples <= 2 else photometric == 2 and samples <= 4)
        and (tags.get(_EXTRA, 0) != 1)  # colours multiplied by their opacity
    )
    if not is_simple:
        return None
    size, kind = bits.pop(), _KINDS.get(formats.pop())
    if kind is None or size not in (8, 16, 32, 64) or (kind == "f" and size == 8):
        return None
    if kind == "u" and (size == 8 or (size == 16 and samples == 1)) and not (photometric == 0 and samples == 1):
        return None
    return np.dtype(f"{tags.order}{kind}{size // 8}")


def _declare_bytes(data: bytearray, tags: _Directory, width: int, tile_width: int) -> None:
    """Change the tags so that they declare a grey picture of 8 bits, of the same bytes."""
    declared = {_WIDTH: width, _BITS: 8, _PHOTOMETRIC: 1, _ORIENTATION: 1, _SAMPLES: 1, _PREDICTOR: 1, _FORMAT: 1}
    declared[_TILE_WIDTH] = tile_width
    for tag, value in declared.items():
        if tag in tags.places:
            kind = _LONG if tag in (_WIDTH, _TILE_WIDTH) else _SHORT
            form = tags.order + ("HHQ" if tags.is_big else "HHI") + ("I" if kind == _LONG else "H")
            struct.pack_into(form, data, tags.places[tag], tag, kind, 1, value)
    if _EXTRA in tags.places:
        struct.pack_into(tags.order + "H", data, tags.places[_EXTRA], _UNUSED)


def _numbers(rows: np.ndarray, dtype: np.dtype, samples: int, run: int, predictor: int) -> np.ndarray:
    """Return `[H, W, samples]` from the bytes of rows.

    Differences (predictors 2 and 3) begin anew after `run` pixels.
    """
    parts = []
    for block in np.split(
        rows, range(run * samples * dtype.itemsize, rows.shape[1], run * samples * dtype.itemsize), 1
    ):
        block = np.ascontiguousarray(block)
        if predictor == 3:
            sums = block.reshape(len(block), -1, samples).cumsum(axis=1, dtype=np.uint8)
            planes = sums.reshape(len(block), dtype.itemsize, run * samples)  # the highest byte of all numbers first
            block = np.ascontiguousarray(planes.transpose(0, 2, 1))
            parts.append(block.view(dtype.newbyteorder(">")).reshape(len(block), run, samples))
            continue
        whole = dtype if predictor != 2 else np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
        numbers = block.view(whole).reshape(len(block), run, samples)
        if predictor == 2:
            numbers = numbers.cumsum(axis=1, dtype=whole.newbyteorder("=")).view(dtype.newbyteorder("="))
        parts.append(numbers)
    values = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _oriented(values: np.ndarray, orientation: int) -> np.ndarray:
    """Return the rows and columns as the tag Orientation says: 2 to 4 are mirrored, 5 to 8 lie on their side."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values[:, ::-1] if orientation in (2, 3, 6, 7) else values
