"""Video: frames in order with their times, from picture files, an animated picture, an array, or a video file.

Only the frames that are asked for are kept and converted. T: number of frames.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from omni.media.errors import MediaError
from omni.media.image import IMAGE_EXTENSIONS, load_image, open_image, to_rgb
from omni.media.source import Source, content_of, describe_source, option, what_it_looks_like

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv")

DEFAULT_FRAMES_PER_SECOND = 10.0  # of pictures that come without times; also what browsers give a GIF without them
_MOST_FRAMES = 4096  # kept at once when all are asked for: more is surely a mistake, and would fill the memory
_SEEK_AHEAD_SECONDS = 3.0  # decoding on is cheaper than a seek for nearer frames


@dataclass(frozen=True)
class Frames:
    """Frames in order: `images` are RGB pictures (of any sizes), `times` their seconds from the beginning, float64
    `[T]`."""

    images: list[Image.Image]
    times: np.ndarray


def load_frames(
    source: Source | Sequence[str | Path],
    num_frames: int | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    frames_per_second: float | None = None,
) -> Frames:
    """Load frames, spread evenly: the middles of `num_frames` equal parts. Where there are fewer, all of them, none
    twice.

    Args:
        source: a video file, an animated GIF, PNG or WebP, a list of picture files in order, a folder of them (in
            natural order: 2 before 10), an array `[T, H, W, 3]`, or a still picture (one frame).
        num_frames: how many at most; default: the item's option `num_frames`, or all.
        start, end: only from this part, in seconds (default: the item's options, or all).
        frames_per_second: of pictures without times (default: the item's option, or 10).

    Raises:
        MediaError: a file is missing or damaged, or there are no frames.
    """
    name = describe_source(source)
    num_frames = option(source, "num_frames", num_frames)
    if num_frames is not None and num_frames < 1:
        raise MediaError(name, f"num_frames must be at least 1, got {num_frames}")
    window = _window(option(source, "start", start), option(source, "end", end), name)
    rate = option(source, "frames_per_second", frames_per_second) or DEFAULT_FRAMES_PER_SECOND
    return _load(
        source,
        lambda times: _choose(times, num_frames, window, name),
        lambda container: _sampled(container, num_frames, window, rate, name),
        rate,
        name,
    )


def load_frames_at(source: Source | Sequence[str | Path], wanted: Callable[[float], Sequence[float]]) -> Frames:
    """Load the frames that are on the screen at certain times, one for each time, in the order of the times given.

    Args:
        source: see `load_frames`; the item's options `start`, `end` and `frames_per_second` count, `num_frames` not.
        wanted: gives the times, in seconds from the beginning (of the part between `start` and `end`), for the
            duration of that part in seconds. Times after its end give its last frame.

    Raises:
        MediaError: a file is missing or damaged, or there are no frames.
    """
    name = describe_source(source)
    window = _window(option(source, "start", None), option(source, "end", None), name)
    rate = option(source, "frames_per_second", None) or DEFAULT_FRAMES_PER_SECOND
    return _load(
        source,
        lambda times: _on_screen(times, wanted, window, rate, name),
        lambda container: _sampled_at(container, wanted, window, rate, name),
        rate,
        name,
    )


def _load(
    source: Any,
    choose: Callable[[np.ndarray], list[int]],
    sample: Callable[[Any], Frames],
    rate: float,
    name: str,
) -> Frames:
    """Frames of any source: `choose` picks indices where all times are known, `sample` reads from an open video."""
    content: Any = [str(path) for path in source] if isinstance(source, list | tuple) else content_of(source)
    if isinstance(content, str) and Path(content).is_dir():
        content = _pictures_in(Path(content), name)
    if isinstance(content, list | tuple | np.ndarray):
        if isinstance(content, np.ndarray) and content.ndim != 4:
            raise MediaError(name, f"a video must be an array [T, H, W, 3], got the shape {list(content.shape)}")
        times = np.arange(len(content)) / rate
        chosen = choose(times)
        return Frames([load_image(content[index]) for index in chosen], times[chosen])
    if isinstance(content, Image.Image) or _is_picture(content):
        return _animation_frames(content, choose, rate, name)
    return _container_frames(content, sample, name)


def _window(start: Any, end: Any, name: str) -> tuple[float, float]:
    window = (float(start or 0.0), float("inf") if end is None else float(end))
    if not 0 <= window[0] < window[1]:
        raise MediaError(name, f"the part from {start} to {end} seconds is empty")
    return window


def _pictures_in(folder: Path, name: str) -> list[str]:
    pictures = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_EXTENSIONS and file.name[0] != "."]
    if not pictures:
        raise MediaError(name, f"the folder holds no pictures ({' '.join(IMAGE_EXTENSIONS)})")
    return [str(file) for file in sorted(pictures, key=lambda file: _natural_key(file.name))]


def _natural_key(text: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", text.lower())]


def _choose(times: np.ndarray, num_frames: int | None, window: tuple[float, float], name: str) -> list[int]:
    """Indices of the frames in the window, evenly spread by index."""
    inside = np.flatnonzero((times >= window[0]) & (times < window[1]))
    if len(inside) == 0:
        raise MediaError(name, f"has no frames from {window[0]:g} s on; it has {len(times)} frames in all")
    if num_frames is None and len(inside) > _MOST_FRAMES:
        raise MediaError(name, f"has {len(inside)} frames, more than {_MOST_FRAMES}; give num_frames")
    if num_frames is None or len(inside) <= num_frames:
        return inside.tolist()
    middles = (np.arange(num_frames) + 0.5) * len(inside) / num_frames
    return inside[middles.astype(int)].tolist()


def _on_screen(
    times: np.ndarray, wanted: Callable[[float], Sequence[float]], window: tuple[float, float], rate: float, name: str
) -> list[int]:
    """Indices of the frames that are on the screen at the wanted times; the last one stays for as long as the mean."""
    last_duration = times[-1] / (len(times) - 1) if len(times) > 1 else 1 / rate
    duration = min(window[1], times[-1] + last_duration if len(times) else 0.0) - window[0]
    if duration <= 0:
        raise MediaError(name, f"has no frames from {window[0]:g} s on; it has {len(times)} frames in all")
    targets = np.asarray(wanted(duration)) + window[0] + 1e-6
    latest = np.searchsorted(times, window[1], side="left") - 1
    return (np.searchsorted(times, targets, side="right") - 1).clip(0, latest).tolist()


def _is_picture(content: str | bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content):
            return True
    except Image.DecompressionBombError:
        return True  # the error is told where the picture is loaded
    except Exception:  # decoders of broken bytes raise nearly anything
        return False


def _animation_frames(
    content: str | bytes | Image.Image, choose: Callable[[np.ndarray], list[int]], rate: float, name: str
) -> Frames:
    image = content if isinstance(content, Image.Image) else open_image(content, name)
    count = int(getattr(image, "n_frames", 1))  # only the classes of formats that can be animated have it
    try:
        times = np.zeros(count)
        for index in range(count - 1):
            image.seek(index)
            if image.format == "WEBP":
                image.load()  # it tells a frame's duration only then (and APNG cannot go back after this)
            times[index + 1] = times[index] + (float(image.info.get("duration", 0)) / 1000 or 1 / rate)
        chosen = choose(times)
        images = []
        for index in chosen:
            if count > 1:
                image.seek(index)
            images.append(to_rgb(image, name))
    except MediaError:
        raise
    except Exception as error:  # as above
        raise MediaError(name, f"is damaged or cut off ({error})") from error
    return Frames(images, times[chosen])


def _container_frames(content: str | bytes, sample: Callable[[Any], Frames], name: str) -> Frames:
    looks = what_it_looks_like(content)
    try:
        with av.open(io.BytesIO(content) if isinstance(content, bytes) else content) as container:
            if not container.streams.video:
                raise MediaError(name, f"holds no pictures that can be read; it is a sound, damaged or cut off{looks}")
            return sample(container)
    except MediaError:
        raise
    except Exception as error:  # FFmpeg's errors and PyAV's own have no common class
        raise MediaError(name, f"is not a video that can be read ({error}){looks}") from error


def _sampled(container: Any, num_frames: int | None, window: tuple[float, float], rate: float, name: str) -> Frames:
    stream, origin, last = _opened(container, window, rate, name)
    images: list[Image.Image] = []
    times: list[float] = []
    if num_frames is None:
        wanted: Iterator[tuple[float, Any]] = _decoded(container, stream, origin, window)
    else:
        middles = window[0] + (np.arange(num_frames) + 0.5) * (last - window[0]) / num_frames
        wanted = _nearest(container, stream, origin, middles.tolist())
    for time, frame in wanted:
        if times and time <= times[-1]:
            continue  # fewer frames than asked for: none twice
        if len(images) == _MOST_FRAMES:
            raise MediaError(name, f"has more than {_MOST_FRAMES} frames; give num_frames")
        images.append(_upright(frame))
        times.append(time)
    if not images:
        raise MediaError(name, "has no frames that can be decoded; it is damaged or cut off")
    return Frames(images, np.array(times))


def _sampled_at(
    container: Any, wanted: Callable[[float], Sequence[float]], window: tuple[float, float], rate: float, name: str
) -> Frames:
    stream, origin, last = _opened(container, window, rate, name)
    targets = np.asarray(wanted(last - window[0])) + window[0]
    order = np.argsort(targets, kind="stable")  # reading goes forward only
    found = [(time, _upright(frame)) for time, frame in _nearest(container, stream, origin, targets[order].tolist())]
    if len(found) < len(targets):
        raise MediaError(name, "has no frames that can be decoded; it is damaged or cut off")
    places = np.argsort(order, kind="stable").tolist()
    return Frames([found[place][1] for place in places], np.array([found[place][0] for place in places]))


def _opened(container: Any, window: tuple[float, float], rate: float, name: str) -> tuple[Any, float, float]:
    """The video stream, the time stamp of its first frame, and where the window ends within it, in seconds."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    origin, duration = _extent(container, stream, rate)
    last = min(window[1], duration)
    if last <= window[0]:
        raise MediaError(name, f"has no frames from {window[0]:g} s on; it is {duration:g} s long")
    return stream, origin, last


def _extent(container: Any, stream: Any, rate: float) -> tuple[float, float]:
    """Time stamp of the first frame and length of the video stream, in seconds."""
    origin = float((stream.start_time or 0) * stream.time_base)
    if stream.duration:
        return origin, float(stream.duration * stream.time_base)
    if container.duration:
        return origin, container.duration / av.time_base - max(origin, 0.0)
    # Neither says it (a stream that was recorded live): read the packets' times, without decoding.
    stamps = [float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.pts is not None]
    container.seek(0)
    return origin, max(stamps, default=origin) - origin + 1 / float(stream.average_rate or rate)


def _decoded(container: Any, stream: Any, origin: float, window: tuple[float, float]) -> Iterator[tuple[float, Any]]:
    if window[0] > 0:
        container.seek(int((window[0] + origin) / stream.time_base), stream=stream, backward=True)
    for frame in container.decode(stream):
        time = (frame.time or 0.0) - origin
        if time >= window[1]:
            return
        if time >= window[0] - 1e-6:
            yield time, frame


def _nearest(container: Any, stream: Any, origin: float, targets: list[float]) -> Iterator[tuple[float, Any]]:
    """For each target the frame that is on the screen then: the last one whose time has come."""
    frames: Iterator[Any] = iter(())
    current: Any = None
    ahead: Any = None
    for target in targets:
        position = -1.0 if ahead is None else (ahead.time or 0.0) - origin
        if position < 0 or target - position > _SEEK_AHEAD_SECONDS:
            container.seek(int((target + origin) / stream.time_base), stream=stream, backward=True)
            frames = container.decode(stream)
            current = ahead = next(frames, None)
        while ahead is not None and (ahead.time or 0.0) - origin <= target + 1e-6:
            current, ahead = ahead, next(frames, None)
        if current is not None:
            yield (current.time or 0.0) - origin, current


def _upright(frame: Any) -> Image.Image:
    """The frame as RGB, turned as the file says (telephones store how they were held)."""
    image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
