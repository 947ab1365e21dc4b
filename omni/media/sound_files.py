"""Sound files to blocks of samples `[t, C]`: through soundfile (WAV, FLAC, Ogg, MP3, ...), or else PyAV (FFmpeg).

The length is what decoding gives, never what a header claims: where libsndfile would believe a header that says too
little (see `omni.media.sound_headers`), FFmpeg decodes the file to its end. t: time in samples, C: channels.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
import soundfile
from av.error import InvalidDataError

from omni.media.container import first_shown_seconds, open_container, start_seconds, video_stream
from omni.media.errors import MediaError
from omni.media.resampling import resampled
from omni.media.sound_headers import may_say_too_little, ogg_links, whole_file
from omni.media.source import what_it_looks_like

Window = tuple[float, float | None]  # seconds; None is the end

_BLOCK_SAMPLES = 1 << 19  # of all channels in a block: 2 MB of float32; files of a thousand channels exist
_MOST_OF_FRAME = 1 << 26  # samples of one of FFmpeg's frames at the file's rate
_UNKNOWN_FRAMES = 1 << 36  # FLAC counts samples in 36 bits; libsndfile says more where the header says nothing
_JOINED_SAMPLES = 1 << 15  # of FFmpeg's frames of about 1000 samples
# After a seek the first frames of AAC and Opus are not right yet: decoding begins this much before the window.
_RUN_UP_SECONDS = 0.5
# Bare streams: FFmpeg's seek guesses the place from a bit rate, or from an index that speaks of the first part only.
_INEXACT_SEEK_FORMATS = ("aac", "mp3", "flac")
_SOUNDFILE_ERRORS = (soundfile.LibsndfileError, OSError, RuntimeError, TypeError)


def file_blocks(
    content: str | bytes, window: Window, name: str, check_length: Callable[[float, int], None]
) -> tuple[int, Iterator[np.ndarray]]:
    """Return the file's sampling rate, and its samples within the window in blocks `[t, C]`.

    `check_length` is given the seconds of the window and the rate where the header of a file can be believed before
    all of it is decoded, and may raise MediaError.

    Raises:
        MediaError: it is no sound; while the blocks are read also: it is damaged.
    """
    try:
        with whole_file(content) as data:
            links = ogg_links(data)
            is_short = not links and may_say_too_little(data)
            parts = [data[begin:end] for begin, end in links] if len(links) > 1 else []
    except (OSError, IndexError, ValueError):  # a folder, or cut off within a header: the decoders tell
        is_short, parts = False, []
    if is_short:
        return _container_blocks(content, window, name, None)
    try:
        rates = [_checked_rate(part, name) for part in parts]  # closed again: a chain can have thousands of links
        file = _open(parts[0] if parts else content)
    except _SOUNDFILE_ERRORS as error:
        return _container_blocks(content, window, name, error)
    rate = _rate_of(file, name)
    if file.format == "FLAC" and file.frames < _UNKNOWN_FRAMES:  # a megabyte holds ten hours of silence
        end = file.frames / rate
        check_length((end if window[1] is None else min(window[1], end)) - window[0], rate)
    if parts:
        file.close()
        return rates[0], _chained_blocks(parts, rates[0], window, name)

    def go_on(position: int) -> Iterator[np.ndarray]:
        return _container_blocks(content, (position / rate, window[1]), name, None)[1]

    return rate, _soundfile_blocks(file, window, name, go_on)


def _checked_rate(content: bytes, name: str) -> int:
    with _open(content) as file:
        return _rate_of(file, name)


def _rate_of(file: soundfile.SoundFile, name: str) -> int:
    if file.samplerate <= 0 or file.channels <= 0:
        raise MediaError(name, f"claims {file.channels} channels at {file.samplerate} Hz; it is damaged")
    return file.samplerate


def _open(content: str | bytes) -> soundfile.SoundFile:
    return soundfile.SoundFile(io.BytesIO(content) if isinstance(content, bytes) else content)


def _soundfile_blocks(
    file: soundfile.SoundFile, window: Window, name: str, go_on: Callable[[int], Iterator[np.ndarray]] | None = None
) -> Iterator[np.ndarray]:
    """Yield the blocks of a file; `go_on` gives those from a sample on where libsndfile cannot."""
    with file:
        first = round(window[0] * file.samplerate)
        last = None if window[1] is None else round(window[1] * file.samplerate)
        position, most = first, max(1, _BLOCK_SAMPLES // file.channels)
        try:
            if first:
                file.seek(min(first, file.frames))
            while last is None or position < last:
                size = most if last is None else min(last - position, most)
                block = file.read(size, dtype="float32", always_2d=True)
                if len(block) == 0:
                    return
                position += len(block)
                yield block
        except (soundfile.LibsndfileError, RuntimeError) as error:
            if go_on is None or file.format != "FLAC":
                raise MediaError(name, f"is damaged or cut off ({error}); export it again") from error
            # A FLAC whose header claims more than there is: libsndfile loses its last block.
            yield from go_on(position)


def _chained_blocks(parts: list[bytes], rate: int, window: Window, name: str) -> Iterator[np.ndarray]:
    """Yield the blocks of the links of a chained Ogg file, one after the other, all at the first one's rate."""
    begin = 0.0
    for content in parts:
        file = _open(content)
        end = begin + file.frames / file.samplerate
        if window[0] < end and (window[1] is None or window[1] > begin):
            part = max(window[0] - begin, 0.0), None if window[1] is None else window[1] - begin
            mono = (block.mean(axis=1) for block in _soundfile_blocks(file, part, name))
            yield from (block[:, None] for block in resampled(mono, file.samplerate, rate))
        file.close()
        begin = end


def _container_blocks(
    content: str | bytes, window: Window, name: str, first_error: Exception | None
) -> tuple[int, Iterator[np.ndarray]]:
    looks = what_it_looks_like(content)
    told = "" if first_error is None else f"{first_error}; "
    try:
        container = open_container(content)
    # FFmpeg's errors, and what PyAV raises itself on broken bytes, have no common class.
    except Exception as error:
        raise MediaError(name, f"is not a sound that can be read ({told}{error}){looks}") from error
    # A stream whose codec is not known has no rate either.
    found = [stream for stream in container.streams.audio if stream.codec_context is not None and stream.rate]
    if not found:
        container.close()
        raise MediaError(name, f"holds no sound ({told.rstrip('; ')}){looks}")
    return found[0].rate, _decoded_blocks(container, found[0], window, name)


def _decoded_blocks(container: Any, stream: Any, window: Window, name: str) -> Iterator[np.ndarray]:
    """Decode an audio stream, cutting frames at the window by their time stamps."""
    rate = stream.rate
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
            for time, block in _joined(_at_one_rate(_decoded(container, stream), rate)):
                if position is None:
                    position = 0 if time is None else round((time - origin) * rate)
                    if pictures is not None and position > first:
                        yield from _silence(position - first if last is None else min(position, last) - first, rate)
                begin, stop = max(first - position, 0), None if last is None else max(last - position, 0)
                position += len(block)
                if len(block[begin:stop]):
                    yield block[begin:stop]
                if last is not None and position >= last:
                    return
    except Exception as error:  # see _container_blocks
        raise MediaError(name, f"is damaged or cut off ({error}); export it again") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield decoded frames. A last packet that cannot be decoded was cut off; one before others is an error.

    So is a gap in FLAC, whose frames are numbered. (Time stamps of other formats have gaps where all is well.)
    """
    broken: Exception | None = None
    due: float | None = None
    for packet in container.demux(stream):
        if broken is not None and packet.size:
            raise broken
        try:
            for frame in packet.decode():
                if container.format.name == "flac" and frame.time is not None:
                    if due is not None and frame.time > due + 0.5 / stream.rate:
                        raise ValueError(f"samples are missing at {due:g} s")
                    due = frame.time + frame.samples / frame.sample_rate
                yield frame
        except InvalidDataError as error:
            broken = error


def _at_one_rate(frames: Iterator[Any], rate: int) -> Iterator[Any]:
    """Yield frames as planes of floats at `rate`. Layout, type and rate may change in joined files."""
    resampler, form = None, None
    for frame in frames:
        if not frame.sample_rate or frame.samples * rate > _MOST_OF_FRAME * frame.sample_rate:
            raise ValueError(f"a part of it is at {frame.sample_rate} Hz, others at {rate} Hz")
        if resampler is None or form != (frame.sample_rate, frame.layout.name, frame.format.name):
            if resampler is not None:
                yield from resampler.resample(None)
            form = (frame.sample_rate, frame.layout.name, frame.format.name)
            resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def _joined(frames: Iterator[Any]) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yield frames, which are short, joined to longer blocks `[t, C]`, each with the time of its first frame."""
    pieces: list[np.ndarray] = []
    count, time = 0, None
    for frame in frames:
        piece = frame.to_ndarray()
        if pieces and (count >= _JOINED_SAMPLES or len(piece) != len(pieces[0])):
            yield time, np.concatenate(pieces, axis=1).T
            pieces, count = [], 0
        time = time if pieces else frame.time
        pieces.append(piece)
        count += piece.shape[1]
    if pieces:
        yield time, np.concatenate(pieces, axis=1).T


def _silence(count: int, rate: int) -> Iterator[np.ndarray]:
    """Yield blocks of silence before a sound that begins later than its pictures; at most 10 minutes, as time stamps
    can lie."""
    count = min(count, 600 * rate)
    for begin in range(0, count, _BLOCK_SAMPLES):
        yield np.zeros((min(_BLOCK_SAMPLES, count - begin), 1), np.float32)
