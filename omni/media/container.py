"""Containers of video and sound (MP4, WebM, MKV, AVI, MPEG, ...) through FFmpeg: their streams on one time axis.

Time is in seconds from the first video frame, or from the first sample where there is no video.
"""

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

from omni.media.display import display_matrix, shown_frame
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.loading import loader
from omni.media.pixel_limit import check_pixels
from omni.media.source import content_of, what_it_looks_like

DEFAULT_FRAMES_PER_SECOND = 10.0  # the rate of pictures without times; browsers use it for a GIF without times too
_SEEK_AHEAD_SECONDS = 3.0  # decoding on is cheaper than a seek for nearer frames
_RUN_UPS = (0.0, 2.0, 10.0)  # seconds; MPEG streams seek inexactly and can come out behind the place asked for
_PLAYLISTS = {"hls", "applehttp", "concat", "concatf", "dash", "sdp", "imf", "webm_dash_manifest", "image2", "lavfi"}
_CUT_ANYWHERE = {"mpegts", "mpeg"}
_SHORTEST_STEP = 1e-6  # seconds; below that times are equal


def open_container(content: str | bytes) -> Any:
    """Open a container with FFmpeg; fetch nothing from elsewhere, and refuse playlists, which name other files.

    Raises whatever PyAV raises, which has no common class, and ValueError for a playlist.
    """
    is_bytes = isinstance(content, bytes)
    source = io.BytesIO(content) if is_bytes else f"file:{content}"
    container = av.open(source, options={"protocol_whitelist": "none" if is_bytes else "file"})  # bytes open nothing
    if _PLAYLISTS & {*container.format.name.split(",")}:
        container.close()
        raise ValueError(f"it is a playlist ({container.format.name}) of other files; give those")
    return container


def video_stream(container: Any) -> Any | None:
    """Return the first stream of moving pictures; the cover of a piece of music does not count as one."""
    cover = Disposition.attached_pic
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    return next((stream for stream in known if not stream.disposition & cover), None)


def start_seconds(stream: Any) -> float:
    """Return the time stamp at which a stream begins, in seconds."""
    return float((stream.start_time or 0) * stream.time_base)


def first_shown_seconds(container: Any, pictures: Any) -> float:
    """Return the time stamp of the first frame of a video stream that can be shown; reading stays at the beginning.

    Only streams that are made to be cut anywhere (MPEG's) can begin with parts of pictures that nobody can show.
    """
    if container.format.name not in _CUT_ANYWHERE:
        return start_seconds(pictures)
    _without_threads(pictures)
    try:
        frame = next((frame for frame in container.decode(pictures) if frame.time is not None), None)
    except Exception:  # damaged pictures are told where pictures are read
        frame = None
    container.seek(0)
    return start_seconds(pictures) if frame is None else frame.time


@loader
def sound_track(video: Media, modality: str = "sound") -> Media | None:
    """Return the sound of a video file as a media item of its own, over the same part (`start`, `end`) of it.

    Both have the same time axis: where the sound begins later than the pictures, it is filled up with silence. Returns
    None if the video has no sound.

    Raises:
        MediaError: the file is missing, or cannot be read.
    """
    content: Any = content_of(video)
    if not isinstance(content, str | bytes):
        return None  # arrays and pictures are silent
    try:
        with open_container(content) as container:
            if not container.streams.audio:
                return None
    except Exception as error:  # see open_container
        problem = f"is not a video that can be read ({error}){what_it_looks_like(content)}"
        raise MediaError(video.describe(), problem) from error
    options = {name: video.options[name] for name in ("start", "end") if name in video.options}
    return Media(modality, path=video.path, data=video.data, options=options)


class VideoReader:
    """Frames of a video file by their times, in seconds from the first frame; read forward, with seeks.

    Raises MediaError where there are no pictures, and whatever PyAV raises on broken files.
    """

    def __init__(self, content: str | bytes, name: str) -> None:
        self._content = content
        self._name = name
        self._open()
        self.rate = _known_rate(self._stream)
        self._pixel_shape = self._stream.sample_aspect_ratio
        self._matrices: list[np.ndarray | None] = []  # the display matrix, once a frame was shown
        self._can_seek = True
        end = self._end()
        self._origin = start_seconds(self._stream)
        self._beginning = self._begun()
        self.duration = end - self._origin

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *error: object) -> None:
        self._beginning = None  # it refers to this reader, and would keep its decoder until garbage is collected
        self._container.close()

    def shown(self, frame: Any) -> Image.Image:
        """Return a frame of this video as RGB, as players show it."""
        if not self._matrices:
            self._matrices.append(display_matrix(frame))
        return shown_frame(frame, self._pixel_shape, self._matrices[0], self._name)

    def _open(self) -> None:
        self._container = open_container(self._content)
        stream = video_stream(self._container)
        if stream is None:
            self._container.close()
            looks = what_it_looks_like(self._content)
            problem = f"holds no pictures that can be read; it is a sound, damaged or cut off{looks}"
            raise MediaError(self._name, problem)
        if stream.width and stream.height:
            check_pixels(stream.width, stream.height, self._name)
        _without_threads(stream)
        self._stream = stream

    def _end(self) -> float:
        """Return when the last picture ends, in seconds on the stream's own time axis."""
        stream, container = self._stream, self._container
        if stream.duration and stream.time_base:
            return start_seconds(stream) + float(stream.duration * stream.time_base)
        if container.duration and stream.start_time is not None:
            start = start_seconds(stream)
            claim = container.duration / av.time_base + min(start, 0.0)
            # Where there is sound or subtitles too, the container's length can be theirs.
            if len(container.streams) == 1 or abs(_stated_end(stream) - claim) < 1 / self.rate:
                return claim
            measured = self._end_of_packets(claim)
            if measured is not None:
                return measured
        # Nobody says it (recorded live, or a bare stream): read the packets' times, without decoding.
        measured = self._end_of_packets(None)
        return 0.0 if measured is None else measured

    def _end_of_packets(self, near: float | None) -> float | None:
        """Return when the last picture ends by the packets from the last key frame before `near` on, or by all of them;
        None if there are no pictures behind it."""
        stream = self._stream
        if near is not None:
            try:
                self._container.seek(int(near / stream.time_base), stream=stream, backward=True)
            except Exception:  # no index: all of it is read
                return None
        end, count = -math.inf, 0
        for packet in self._container.demux(stream):
            count += packet.size > 0
            if packet.pts is not None:
                length = float((packet.duration or 0) * stream.time_base) or 1 / self.rate
                end = max(end, float(packet.pts * stream.time_base) + length)
        self._rewind()
        if near is None and end == -math.inf:
            return start_seconds(self._stream) + count / self.rate
        return None if end == -math.inf else end

    def _begun(self) -> Iterator[tuple[float, Any]] | None:
        """Decode the first frame, from which time counts: a recording that was cut out of a broadcast begins with parts
        of pictures that nobody can show, and its stream claims their time."""
        frames = self._timed()
        try:
            first = next(frames, None)
        except Exception:  # perhaps what is asked for stands behind the damage
            first = None
        if first is None:
            self._rewind()
            return None
        if first[1].time is not None:
            self._origin = first[1].time
        return _chained((0.0, first[1]), frames)

    def _rewind(self) -> None:
        try:
            self._container.seek(0)
        except Exception:  # bare streams cannot seek at all
            self._container.close()
            self._open()

    def all_frames(self, first: float, last: float) -> Iterator[tuple[float, Any]]:
        """Yield the frames from `first` on, before `last`, with their times; or else the one shown then."""
        before: tuple[float, Any] | None = None
        is_any = False
        for time, frame in self._from(first) if first > 0 else self._start():
            if time >= last - _SHORTEST_STEP:
                break
            if time >= first - _SHORTEST_STEP:
                is_any = True
                yield time, frame
            else:
                before = time, frame
        if before is not None and not is_any:
            yield before

    def frames_at(self, targets: Sequence[float]) -> Iterator[tuple[float, Any]]:
        """Yield for each target, in rising order, the frame on the screen at that time: the last one that has begun."""
        frames: Iterator[tuple[float, Any]] | None = None
        current: tuple[float, Any] | None = None
        ahead: tuple[float, Any] | None = None
        for target in targets:
            is_far = ahead is not None and target - ahead[0] > _SEEK_AHEAD_SECONDS and self._can_seek
            if frames is None or is_far:
                frames = self._from(target) if target > _SEEK_AHEAD_SECONDS else self._start()
                ahead = next(frames, None)
                current = ahead or current
            while ahead is not None and ahead[0] <= target + _SHORTEST_STEP:
                current, ahead = ahead, next(frames, None)
            if current is None:  # behind the end of what can be decoded: its last frame, from the beginning on
                frames = self._restarted()
                for current in frames:
                    if current[0] > target:
                        break
            if current is not None:
                yield current

    def _from(self, target: float) -> Iterator[tuple[float, Any]]:
        """Yield frames, beginning with the last key frame that is not later than `target`."""
        self._beginning = None
        for run_up in _RUN_UPS if self._can_seek else ():
            place = max(0.0, target - run_up) + self._origin
            try:
                self._container.seek(int(place / self._stream.time_base), stream=self._stream, backward=True)
            except Exception:  # no index, or no time stamps: it is read from the beginning
                self._can_seek = False
                break
            frames = self._timed()
            first = next(frames, None)
            if first is not None and first[0] <= target + _SHORTEST_STEP:
                return _chained(first, frames)
        return self._restarted()

    def _start(self) -> Iterator[tuple[float, Any]]:
        """Yield frames from the beginning, the first of which is decoded already."""
        frames, self._beginning = self._beginning, None
        return self._restarted() if frames is None else frames

    def _restarted(self) -> Iterator[tuple[float, Any]]:
        self._beginning = None
        self._rewind()
        return self._timed()

    def _timed(self) -> Iterator[tuple[float, Any]]:
        """Yield decoded frames with times; frames without a time stamp follow each other at the stream's rate."""
        time = -1 / self.rate
        for frame in self._container.decode(self._stream):
            if frame.time is None:
                self._can_seek = False
                time += 1 / self.rate
            else:
                time = frame.time - self._origin
            yield time, frame


def _without_threads(stream: Any) -> None:
    # FFmpeg's own threads were seen to wait for each other for ever on damaged streams; what reads many videos at once
    # has a process for each.
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1


def _stated_end(stream: Any) -> float:
    """Return the end in seconds that Matroska's writers store as a tag of each stream, or NaN."""
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return math.nan
    return 3600 * hours + 60 * minutes + seconds


def _known_rate(stream: Any) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or DEFAULT_FRAMES_PER_SECOND)
    return rate if 1e-3 < rate < 1e6 else DEFAULT_FRAMES_PER_SECOND


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
