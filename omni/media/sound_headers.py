"""What the header of a sound file claims about its length, checked against the rest of the file without decoding it.

libsndfile believes headers, so sounds whose headers say too little (recorded live, joined, written to a pipe) would be
cut off in silence. These checks are cheap enough to be made for every file.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

Data = bytes | mmap.mmap

_OGG_FIRST_PAGE = b"OggS\0\x02"  # the page that begins a logical stream (RFC 3533, section 6)
_OGG_HEADER_BYTES = 27
# kbit/s of MPEG audio layer III by index (ISO 11172-3, table in 2.4.2.3, and ISO 13818-3).
_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_1 = (44100, 48000, 32000)  # Hz of MPEG 1; those of MPEG 2 are half, of MPEG 2.5 a quarter
_TAGS_AT_THE_END = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_FLAC_TAIL_BYTES = 1 << 17  # more than one frame


@contextmanager
def whole_file(content: str | bytes) -> Iterator[Data]:
    """Give the bytes of a file (memory-mapped) or the bytes themselves."""
    if isinstance(content, bytes):
        yield content
        return
    with open(content, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def may_say_too_little(data: Data) -> bool:
    """Return whether an MP3, FLAC or WAV file may hold more sound than its header claims."""
    if data[:4] == b"fLaC":
        return _flac_goes_on(data)
    if data[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _wav_claims_nothing(data)
    return _mp3_goes_on(data)


def ogg_links(data: Data) -> list[tuple[int, int]]:
    """Return where each link of a chained Ogg file begins and ends; one link for other Ogg files, none for others.

    A chain is made by joining files and by internet radio (RFC 3533, section 4): one stream ends, the next begins.
    """
    if data[:4] != b"OggS":
        return []
    starts = [0]
    place = _after_first_pages(data, 0)
    while (place := data.find(_OGG_FIRST_PAGE, place)) >= 0:
        starts.append(place)
        place = _after_first_pages(data, place)
    return [*pairwise([*starts, len(data)])]


def _after_first_pages(data: Data, place: int) -> int:
    """Return where the first pages end that begin the streams of one link: sound beside pictures are two of them."""
    while data[place : place + 6] == _OGG_FIRST_PAGE and place + _OGG_HEADER_BYTES <= len(data):
        num_segments = data[place + 26]
        table = data[place + _OGG_HEADER_BYTES : place + _OGG_HEADER_BYTES + num_segments]
        place += _OGG_HEADER_BYTES + num_segments + sum(table)
    return place


def _wav_claims_nothing(data: Data) -> bool:
    """Return whether the data chunk says 0 bytes, as of a recorder that was stopped, and no whole chunks follow it."""
    is_big = data[:4] == b"RIFX"
    place = 12
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], _integer(data, place + 4, is_big)
        if kind == b"data":
            return size == 0 and not _is_chunks(data, place + 8, is_big)
        place += 8 + size + size % 2
    return False


def _is_chunks(data: Data, place: int, is_big: bool) -> bool:
    while place + 8 <= len(data) and data[place : place + 4].isascii() and data[place : place + 4].strip(b"\0"):
        size = _integer(data, place + 4, is_big)
        place += 8 + size + size % 2
    return place in (len(data), len(data) + 1)


def _integer(data: Data, place: int, is_big: bool) -> int:
    return struct.unpack(">I" if is_big else "<I", data[place : place + 4])[0]


def _mp3_goes_on(data: Data) -> bool:
    start = _after_id3(data)
    header = _mp3_header(data, start)
    if header is None:
        return False  # no MP3, or one that libsndfile will not open
    base_bytes, side_bytes = header
    claimed = _claimed_mp3_bytes(data, start, side_bytes)
    if claimed is not None:
        # Some writers do not count this first frame.
        return len(data) - start - claimed - _tag_bytes(data) > 2 * max(base_bytes, side_bytes + 16)
    return not _is_of_one_bitrate(data, start, base_bytes)


def _after_id3(data: Data) -> int:
    place = 0
    while data[place : place + 3] == b"ID3" and place + 10 <= len(data):
        size = 0
        for byte in data[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if data[place + 5] & 0x10 else 0)
    return place


def _mp3_header(data: Data, place: int) -> tuple[int, int] | None:
    """Return the bytes of the frame without padding, and those of its side information, or None where there is none."""
    if place + 4 > len(data) or data[place] != 0xFF or data[place + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[place + 1] >> 3 & 3, data[place + 1] >> 1 & 3
    bitrate, rate = data[place + 2] >> 4, data[place + 2] >> 2 & 3
    if layer != 1 or version == 1 or rate == 3 or bitrate == 15:  # layer III is 1, and version 1 is not in use
        return None
    is_first = version == 3
    kilobits = (_BITRATES_1 if is_first else _BITRATES_2)[bitrate]
    hertz = _RATES_1[rate] >> {3: 0, 2: 1, 0: 2}[version]
    is_mono = data[place + 3] >> 6 == 3
    side = (17 if is_mono else 32) if is_first else (9 if is_mono else 17)
    return (144 if is_first else 72) * kilobits * 1000 // hertz, side


def _claimed_mp3_bytes(data: Data, start: int, side_bytes: int) -> int | None:
    """Return the bytes that the first frame says (Xing, Info or VBRI), 0 where it says none, None without such one."""
    place = start + 4 + side_bytes
    if data[place : place + 4] in (b"Xing", b"Info"):
        has_frames, has_bytes = data[place + 7] & 1, data[place + 7] & 2
        return _integer(data, place + 8 + 4 * has_frames, True) if has_frames and has_bytes else 0
    if data[start + 36 : start + 40] == b"VBRI":
        return _integer(data, start + 46, True)
    return None


def _is_of_one_bitrate(data: Data, place: int, base_bytes: int) -> bool:
    """Return whether frames of one bit rate follow each other to the end: only then the size tells the length."""
    second, third = data[place + 1], data[place + 2] & 0xFD
    if base_bytes == 0:  # "free" format: the size of a frame stands nowhere
        return False
    last = len(data) - 4
    while place <= last and data[place] == 0xFF and data[place + 1] == second and data[place + 2] & 0xFD == third:
        place += base_bytes + (data[place + 2] >> 1 & 1)
    return place > last or data[place : place + 11].startswith(_TAGS_AT_THE_END) or not any(data[place : place + 4096])


def _tag_bytes(data: Data) -> int:
    """Return the size of the tags at the end: ID3v1, and an APE tag, which can hold pictures."""
    id3 = 128 if data[-128:-125] == b"TAG" else 0
    footer = len(data) - 32 - id3
    has_ape = footer > 0 and data[footer : footer + 8] == b"APETAGEX"
    return id3 + (_integer(data, footer + 12, False) + 32 if has_ape else 0)


def _flac_goes_on(data: Data) -> bool:
    """Return whether the last frame lies beyond the length in STREAMINFO, or a second file follows (RFC 9639)."""
    if len(data) < 42 or data[4] & 0x7F != 0:
        return False
    total = int.from_bytes(data[21:26]) & (1 << 36) - 1
    if total == 0:  # written to a pipe: libsndfile reads to the end then
        return data.find(b"fLaC\0\0\0\x22", 4) >= 0
    if data.find(b"fLaC\0\0\0\x22", 4) >= 0:
        return True
    first = _first_flac_frame(data)
    sync, rate_code = data[first : first + 2], data[first + 2] & 15
    block_size = int.from_bytes(data[10:12])  # the largest one; that of all frames where it is constant
    place = len(data)
    while len(sync) == 2 and (place := data.rfind(sync, max(first, len(data) - _FLAC_TAIL_BYTES), place)) >= 0:
        header = data[place : place + 16]
        number = _flac_frame_number(header) if len(header) == 16 and header[2] & 15 == rate_code else None
        if number is not None:
            return (number if sync[1] & 1 else number * block_size) >= total
    return False


def _first_flac_frame(data: Data) -> int:
    place, is_last = 4, False
    while not is_last and place + 4 <= len(data):
        is_last = bool(data[place] & 0x80)
        place += 4 + int.from_bytes(data[place + 1 : place + 4])
    return place


def _flac_frame_number(header: bytes) -> int | None:
    """Return the number in a frame's header (of the frame, or of its first sample), or None if it is no header."""
    size_code, rate_code = header[2] >> 4, header[2] & 15
    lead = header[4]
    num_more = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    number = lead if lead < 0x80 else lead & (0x3F >> num_more)
    for byte in header[5 : 5 + num_more]:
        number = number << 6 | byte & 0x3F
    length = 5 + num_more + {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    return number if length < 16 and _crc8(header[:length]) == header[length] else None


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _crc8_table()[value ^ byte]
    return value


@cache
def _crc8_table() -> list[int]:
    table = [*range(256)]
    for _ in range(8):
        table = [value << 1 & 0xFF ^ (0x07 if value & 0x80 else 0) for value in table]
    return table
