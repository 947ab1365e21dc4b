"""Sound and speech: any file, bytes or array to mono float32 at one sampling rate.

Files, which `omni.media.sound_files` decodes, are mixed to mono and resampled block by block, so that an hour takes the
memory of its result only. Mixing to mono is the mean of the channels. T: time in samples, C: channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from omni.media.errors import MediaError
from omni.media.item import Media, as_sampling_rate, shorten
from omni.media.length_limit import check_seconds
from omni.media.loading import loader
from omni.media.resampling import resampled
from omni.media.sound_files import file_blocks
from omni.media.source import content_of, describe_source, option

SOUND_EXTENSIONS = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".m4a",
    ".aac",
    ".aiff",
    ".aif",
    ".au",
    ".webm",
    ".wma",
)

_LOWEST_RATE, _HIGHEST_RATE = 100, 10_000_000  # Hz; at 1 Hz a small file would become hours
_MAX_CHANNELS = 64  # a 2-D array with more on both axes is no sound
_MOST_SAMPLES = 4 * 3600 * 16000  # in a result, 0.9 GB: 2 MB of FLAC can hold 20 hours of silence
# Far above any float recording's overshoot and far below 16-bit integers that were cast to float.
_LARGEST_FLOAT = 100.0


@dataclass(frozen=True)
class Sound:
    """Mono sound: `samples` float32 `[T]`, nominally in -1..1, at `sampling_rate` Hz."""

    samples: np.ndarray
    sampling_rate: int

    @property
    def duration(self) -> float:
        """Return the length in seconds."""
        return len(self.samples) / self.sampling_rate


@loader
def load_sound(
    source: Media | str | Path | bytes | np.ndarray | tuple[np.ndarray, int],
    sampling_rate: int | None = 16000,
    *,
    start: float | None = None,
    end: float | None = None,
) -> Sound:
    """Load a sound as mono float32.

    Args:
        source: an item, path, bytes of a file, or `(array, sampling rate in Hz)`. Arrays are `[T]`, `[T, C]` or
            `[C, T]` (the shorter axis is the channels); int16, int32 and uint8 are scaled to -1..1, floats are taken as
            they are, in files too. Floats beyond 100 are refused: they are integers that were cast.
        sampling_rate: of the result, in Hz; None keeps that of the source.
        start, end: take only this window, in seconds (default: the item's options `start` and `end`, or all). Only the
            window is decoded. An `end` after the sound's own end is cut to it.

    A video file gives its sound track, and the window counts from the first frame: sound that begins later is filled
    up with silence. The window of a container is exact to its time stamps (1 ms in WebM). A WAV or Ogg file that
    was cut off gives the part that is there. A file is decoded to its end, whatever its header claims, and chained
    Ogg files and joined MP3 files give all their parts.

    Raises:
        MediaError: the file is missing, damaged or no sound; there are no samples (in the window); there are more than
            230 million (4 hours at 16 kHz); samples are NaN, infinite or far outside -1..1; the sampling rate of an
            array is not given.
    """
    name = describe_source(source[0] if isinstance(source, tuple) else source)
    window = _window(option(source, "start", start), option(source, "end", end), name)
    if isinstance(source, tuple):
        source = Media("sound", data=source[0], sampling_rate=as_sampling_rate(source[1]))
    content: Any = content_of(source)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if isinstance(content, np.ndarray):
        rate = source.sampling_rate if isinstance(source, Media) else None
        native_rate, blocks = _array_blocks(content, rate, window, name)
    elif isinstance(content, str | bytes):
        native_rate, blocks = file_blocks(content, window, name, partial(_check_length, sampling_rate, name))
    else:
        raise MediaError(name, "expected a sound: a file, bytes, or an array with its sampling rate")
    if not _LOWEST_RATE <= native_rate <= _HIGHEST_RATE:
        problem = f"is at {native_rate} Hz; a sound has {_LOWEST_RATE} to {_HIGHEST_RATE} Hz"
        raise MediaError(name, f"{problem}: the sampling rate is wrong, or the file is damaged")
    rate = native_rate if sampling_rate is None else sampling_rate
    samples = _join(resampled(_mixed(blocks, name), native_rate, rate), rate, name)
    if samples.size == 0:
        within = "" if window == (0.0, None) else f" between {window[0]:g} s and {_end_text(window[1])}"
        raise MediaError(name, f"has no samples{within}; it is empty or shorter than that")
    if not np.isfinite(samples).all():
        raise MediaError(name, "holds NaN or infinite samples; export it again or remove the row")
    return Sound(samples, rate)


def _window(start: Any, end: Any, name: str) -> tuple[float, float | None]:
    first = 0.0 if start is None else start
    for value in (first, end):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9
        ):
            raise MediaError(name, f"start and end must be seconds from 0 on, got {shorten(value)}")
    if end is not None and end <= first:
        raise MediaError(name, f"the window's end ({end:g} s) must come after its start ({first:g} s)")
    return float(first), None if end is None else float(end)


def _end_text(end: float | None) -> str:
    return "its end" if end is None else f"{end:g} s"


def _array_blocks(
    array: np.ndarray, rate: int | None, window: tuple[float, float | None], name: str
) -> tuple[int, Iterator[np.ndarray]]:
    if rate is None:
        raise MediaError(name, "an array of samples needs its 'sampling_rate' in Hz")
    if array.ndim not in (1, 2) or (array.ndim == 2 and min(array.shape) > _MAX_CHANNELS):
        raise MediaError(name, f"a sound must be an array [T], [T, C] or [C, T], got the shape {list(array.shape)}")
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T
    first, last = round(window[0] * rate), None if window[1] is None else round(window[1] * rate)
    samples = _scaled(array[first:last], name)
    return rate, iter([samples if samples.ndim == 2 else samples[:, None]])


def _scaled(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype in (np.int16, np.int32):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if array.dtype.kind != "f":
        raise MediaError(
            name, f"samples of type {array.dtype} have no known scale; use int16, int32, or floats in -1..1"
        )
    return array.astype(np.float32)


def _mixed(blocks: Iterator[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """Yield blocks `[t, C]` as mono `[t]`, with one rule for the samples of arrays and files alike."""
    for block in blocks:
        # False also where there are NaN, which have an error of their own.
        if block.size and not (block.max() <= _LARGEST_FLOAT and block.min() >= -_LARGEST_FLOAT):
            _check_scale(block, name)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)


def _check_scale(block: np.ndarray, name: str) -> None:
    if np.max(np.abs(block), initial=0.0, where=np.isfinite(block)) > _LARGEST_FLOAT:
        raise MediaError(name, "holds float samples far outside -1..1; divide 16-bit values by 32768 before")


def _check_length(sampling_rate: int | None, name: str, seconds: float, native_rate: int) -> None:
    check_seconds(seconds, name)
    rate = sampling_rate or native_rate
    if round(seconds * rate) > _MOST_SAMPLES:
        limit = f"{_MOST_SAMPLES / rate / 3600:.1f} hours at {rate} Hz"
        raise MediaError(name, f"is longer than {limit}; take a part of it with start and end, or cut it")


def _join(blocks: Iterator[np.ndarray], rate: int, name: str) -> np.ndarray:
    pieces, count = [], 0
    for block in blocks:
        pieces.append(block)
        count += len(block)
        _check_length(rate, name, count / rate, rate)
    joined = np.empty(count, np.float32)
    pieces.reverse()
    place = 0
    while pieces:  # given back one by one: the memory of the result is needed once, not twice
        piece = pieces.pop()
        joined[place : place + len(piece)] = piece
        place += len(piece)
    return joined
