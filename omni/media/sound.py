"""Sound and speech: any file, bytes or array to mono float32 at one sampling rate.

Files go through soundfile (WAV, FLAC, Ogg, MP3, ...) and, where that cannot read them, PyAV (MP4, M4A, WebM, ...). They
are read, mixed to mono and resampled block by block, so that an hour takes the memory of its result only. Mixing to
mono is the mean of the channels. T: time in samples, C: channels.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from omni.media.container import first_shown_seconds, open_container, start_seconds, video_stream
from omni.media.errors import MediaError
from omni.media.item import Media, as_sampling_rate
from omni.media.source import content_of, describe_source, option, what_it_looks_like

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

_BLOCK_SAMPLES = 1 << 19  # per block and channel: 2 MB of float32
_LOWEST_RATE, _HIGHEST_RATE = 100, 10_000_000  # Hz; at 1 Hz a small file would become hours
_MAX_CHANNELS = 64  # a 2-D array with more on both axes is no sound
# After a seek the first frames of AAC and Opus are not right yet: decoding begins this much before the window.
_RUN_UP_SECONDS = 0.5
_INEXACT_SEEK_FORMATS = ("aac",)  # a bare stream: its seek guesses the place from the bit rate
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
            they are.
        sampling_rate: of the result, in Hz; None keeps that of the source.
        start, end: take only this window, in seconds (default: the item's options `start` and `end`, or all). Only the
            window is decoded. An `end` after the sound's own end is cut to it.

    A video file gives its sound track, and the window counts from the first frame: sound that begins later is filled
    up with silence. The window of a container is exact to its time stamps (1 ms in WebM). A WAV or Ogg file that
    was cut off gives the part that is there.

    Raises:
        MediaError: the file is missing, damaged or no sound; there are no samples (in the window); samples are NaN or
            infinite; the sampling rate of an array is not given.
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
        native_rate, blocks = _file_blocks(content, window, name)
    else:
        raise MediaError(name, "expected a sound: a file, bytes, or an array with its sampling rate")
    if not _LOWEST_RATE <= native_rate <= _HIGHEST_RATE:
        problem = f"is at {native_rate} Hz; a sound has {_LOWEST_RATE} to {_HIGHEST_RATE} Hz"
        raise MediaError(name, f"{problem}: the sampling rate is wrong, or the file is damaged")
    rate = native_rate if sampling_rate is None else sampling_rate
    samples = _join(_resampled(blocks, native_rate, rate))
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
            raise MediaError(name, f"start and end must be seconds from 0 on, got {value!r}")
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
    return rate, iter([samples if samples.ndim == 1 else samples.mean(axis=1)])


def _scaled(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype in (np.int16, np.int32):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if array.dtype.kind != "f":
        raise MediaError(
            name, f"samples of type {array.dtype} have no known scale; use int16, int32, or floats in -1..1"
        )
    if array.size and np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array)) > _LARGEST_FLOAT:
        raise MediaError(name, "holds float samples far outside -1..1; divide 16-bit values by 32768 before")
    return array.astype(np.float32)


def _file_blocks(
    content: str | bytes, window: tuple[float, float | None], name: str
) -> tuple[int, Iterator[np.ndarray]]:
    """Return the file's sampling rate, and its mono samples in blocks."""
    try:
        file = soundfile.SoundFile(io.BytesIO(content) if isinstance(content, bytes) else content)
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError) as error:
        return _container_blocks(content, window, name, error)
    if file.samplerate <= 0 or file.channels <= 0:
        file.close()
        raise MediaError(name, f"claims {file.channels} channels at {file.samplerate} Hz; it is damaged")
    return file.samplerate, _soundfile_blocks(file, window, name)


def _soundfile_blocks(file: soundfile.SoundFile, window: tuple[float, float | None], name: str) -> Iterator[np.ndarray]:
    with file:
        first = round(window[0] * file.samplerate)
        remaining = None if window[1] is None else round(window[1] * file.samplerate) - first
        try:
            if first:
                file.seek(min(first, file.frames))
            while remaining is None or remaining > 0:
                size = _BLOCK_SAMPLES if remaining is None else min(remaining, _BLOCK_SAMPLES)
                block = file.read(size, dtype="float32", always_2d=True)
                if len(block) == 0:
                    return
                remaining = None if remaining is None else remaining - len(block)
                yield block.mean(axis=1)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise MediaError(name, f"is damaged or cut off ({error}); export it again") from error


def _container_blocks(
    content: str | bytes, window: tuple[float, float | None], name: str, first_error: Exception
) -> tuple[int, Iterator[np.ndarray]]:
    looks = what_it_looks_like(content)
    try:
        container = open_container(content)
    # FFmpeg's errors, and what PyAV raises itself on broken bytes, have no common class.
    except Exception as error:
        raise MediaError(name, f"is not a sound that can be read ({first_error}; {error}){looks}") from error
    # A stream whose codec is not known has no rate either.
    found = [stream for stream in container.streams.audio if stream.codec_context is not None and stream.rate]
    if not found:
        container.close()
        raise MediaError(name, f"holds no sound ({first_error}){looks}")
    return found[0].rate, _decoded_blocks(container, window, name)


def _decoded_blocks(container: Any, window: tuple[float, float | None], name: str) -> Iterator[np.ndarray]:
    """Decode the first audio stream, cutting frames at the window by their time stamps."""
    stream = next(stream for stream in container.streams.audio if stream.codec_context is not None and stream.rate)
    rate = stream.rate
    resampler = av.AudioResampler(format="fltp")  # layout and rate stay
    pictures = video_stream(container)
    # The sound of a video keeps the video's time. Otherwise samples of negative time are the encoder's run-up, which
    # players drop too.
    origin = max(start_seconds(stream), 0.0) if pictures is None else first_shown_seconds(container, pictures)
    first, last = round(window[0] * rate), None if window[1] is None else round(window[1] * rate)
    position: int | None = None
    try:
        with container:
            if window[0] > _RUN_UP_SECONDS and container.format.name not in _INEXACT_SEEK_FORMATS:
                start = window[0] - _RUN_UP_SECONDS + origin
                container.seek(int(start / stream.time_base), stream=stream, backward=True)
            for decoded in container.decode(stream):
                for frame in resampler.resample(decoded):
                    if position is None:
                        position = 0 if frame.time is None else round((frame.time - origin) * rate)
                        if pictures is not None and position > first:
                            yield _silence(position - first if last is None else min(position, last) - first, rate)
                    block = frame.to_ndarray().mean(axis=0, dtype=np.float32)
                    begin, stop = max(first - position, 0), None if last is None else max(last - position, 0)
                    position += len(block)
                    if len(block[begin:stop]):
                        yield block[begin:stop]
                if last is not None and position is not None and position >= last:
                    return
    except Exception as error:  # see _container_blocks
        raise MediaError(name, f"is damaged or cut off ({error}); export it again") from error


def _silence(count: int, rate: int) -> np.ndarray:
    """Yield silence before a sound that begins later than its pictures; at most ten minutes, as time stamps can lie."""
    return np.zeros(max(0, min(count, 600 * rate)), np.float32)


def _resampled(blocks: Iterator[np.ndarray], source_rate: int, rate: int) -> Iterator[np.ndarray]:
    if source_rate == rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32")
    last = np.zeros(0, np.float32)
    produced = 0
    for block in blocks:
        if len(last):
            output = stream.resample_chunk(last)
            produced += len(output)
            yield output
        last = np.ascontiguousarray(block, dtype=np.float32)
    if len(last):
        output = stream.resample_chunk(last, last=True)
        # A handful of samples can round down to none; the sound is still not empty.
        yield output if produced + len(output) else last[:1]


def _join(blocks: Iterator[np.ndarray]) -> np.ndarray:
    pieces = list(blocks)
    return np.ascontiguousarray(np.concatenate(pieces) if pieces else np.zeros(0), dtype=np.float32)
