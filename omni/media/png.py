"""PNG files by their chunks, for what Pillow refuses or changes. Format: https://www.w3.org/TR/png-3"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import av
from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"

_MOST_TEXT = 1 << 20  # bytes of a text, unpacked; Pillow refuses the whole picture from there on
_MOST_TEXT_IN_ALL = 32 << 20
_MOST_PROFILE = 32 << 20  # profiles of presses have some megabytes
_FACTORS = {"L;2": (0x3, 85), "L;4": (0xF, 17), "L": (0xFF, 1), "RGB": (0xFF, 1)}
_SIXTEEN_BIT_COLOUR = "RGB;16B"


class Chunk(NamedTuple):
    """One chunk; `is_whole` tells whether its checksum is right."""

    kind: bytes
    body: bytes
    is_whole: bool


def chunks_of(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the end mark, or up to where the file is cut off."""
    place = len(MAGIC)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length].rjust(4, b"\0"))
        yield Chunk(kind, body, len(body) == length and checksum == zlib.crc32(kind + body))
        place += 12 + length
        if kind == b"IEND":
            return


def chunk_bytes(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def without_needless_chunks(data: bytes, keep_texts: bool) -> tuple[bytes, bytes | None]:
    """Return the file without the chunks that keep Pillow from opening it, and its ICC profile, if it has one.

    As in libpng, chunks that a decoder may skip are dropped where their checksum is wrong. Texts are dropped where they
    unpack to more than a megabyte, or all of them, and everything else that holds no pixels, without `keep_texts`.
    """
    kept, profile, budget = [MAGIC], None, _MOST_TEXT_IN_ALL
    for chunk in chunks_of(data):
        is_needed = not chunk.kind[0] & 0x20 or chunk.kind in (b"acTL", b"fcTL", b"fdAT")
        if not is_needed and not chunk.is_whole:
            continue
        if chunk.kind == b"iCCP":
            profile = _unpacked(chunk.body.partition(b"\0")[2][1:], _MOST_PROFILE)
            continue
        if chunk.kind in (b"tEXt", b"zTXt", b"iTXt"):
            size = _text_size(chunk)
            budget -= min(size, _MOST_TEXT)
            if size > _MOST_TEXT or budget < 0:
                continue
        if is_needed or keep_texts or chunk.kind == b"tRNS":
            kept.append(chunk_bytes(chunk.kind, chunk.body) if chunk.is_whole else _damaged_bytes(chunk))
    return b"".join(kept), profile


def scale_transparent_colour(image: Any) -> None:
    """Bring the transparent colour (tRNS) of a PNG that is opened, but not yet loaded, to the 8 bits of its pixels.

    Pillow leaves it in the bits of the file. A colour of 16 bits keeps its high byte, as the pixels do (see
    `sixteen_bit_colour`).
    """
    key = image.info.get("transparency")
    form = _raw_mode(image)
    if key is None or isinstance(key, bytes):
        return
    if form in _FACTORS:
        mask, factor = _FACTORS[form]
        image.info["transparency"] = (
            tuple((one & mask) * factor for one in key) if isinstance(key, tuple) else (key & mask) * factor
        )
    elif form == _SIXTEEN_BIT_COLOUR and isinstance(key, tuple):
        image.info["transparency"] = tuple(one >> 8 for one in key)


def has_sixteen_bit_key(image: Any) -> bool:
    """Tell whether a PNG that is not yet loaded has colours of 16 bits, one of which is transparent."""
    return _raw_mode(image) == _SIXTEEN_BIT_COLOUR and "transparency" in image.info


def sixteen_bit_colour(data: bytes) -> Image.Image:
    """Decode a PNG of 16-bit colours with a transparent one; only that one becomes so, not all of its high bytes.

    Raises whatever PyAV raises, which has no common class.
    """
    decoder: Any = av.CodecContext.create("png", "r")
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    numbers = frames[0].to_ndarray(format="rgba64le")
    return Image.fromarray(((numbers.astype("uint32") + 128) // 257).astype("uint8"))


def _raw_mode(image: Any) -> str | None:
    return image.tile[0].args if image.format == "PNG" and image.tile and isinstance(image.tile[0].args, str) else None


def _damaged_bytes(chunk: Chunk) -> bytes:
    """Return a chunk with a wrong checksum, so that damage to pixels is still told."""
    return chunk_bytes(chunk.kind, chunk.body)[:-4] + struct.pack(">I", zlib.crc32(chunk.kind + chunk.body) ^ 1)


def _text_size(chunk: Chunk) -> int:
    """Return how many bytes a text chunk unpacks to; a damaged one counts as too many."""
    rest = chunk.body.partition(b"\0")[2]
    if chunk.kind == b"zTXt":
        packed = rest[1:]
    elif chunk.kind == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        return len(chunk.body)
    text = _unpacked(packed, _MOST_TEXT)
    return _MOST_TEXT + 1 if text is None else len(text)


def _unpacked(packed: bytes, most: int) -> bytes | None:
    decoder = zlib.decompressobj()
    try:
        text = decoder.decompress(packed, most)
    except zlib.error:
        return None
    return None if decoder.unconsumed_tail else text
