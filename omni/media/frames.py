"""Video: frames in order with their times, from picture files, an animated picture, an array, or a video file.

Only the frames that are asked for are kept and converted; in a long video file the parts between are skipped by
seeking. T: number of frames.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omni.media.animation import Animation
from omni.media.clips import spread_indices
from omni.media.container import DEFAULT_FRAMES_PER_SECOND, VideoReader
from omni.media.errors import MediaError
from omni.media.image import IMAGE_EXTENSIONS, load_image, open_picture, shared_range
from omni.media.item import Media
from omni.media.large_pictures import one_by_one
from omni.media.length_limit import check_seconds
from omni.media.loading import loader
from omni.media.source import Source, content_of, describe_source, number_option, what_it_looks_like

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".ts", ".flv", ".wmv", ".3gp"),
)

_MOST_FRAMES = 4096  # at once: more is surely a mistake
_MOST_BYTES = 2 << 30  # for all kept frames as RGB


@dataclass(frozen=True)
class Frames:
    """Frames in order: `images` are RGB pictures (of any sizes), `times` their seconds from the beginning, float64
    `[T]`."""

    images: list[Image.Image]
    times: np.ndarray


@dataclass(frozen=True)
class _Wanted:
    """The choice of frames: those on the screen at the times that `times_of` gives for the duration of the window.

    Without `times_of`, all frames of the window are chosen, or `num_frames` of them, spread evenly, if they are more.
    """

    name: str
    window: tuple[float, float]
    rate: float  # frames per second of pictures without times
    num_frames: int | None = None
    most: int = _MOST_FRAMES
    times_of: Callable[[float], Sequence[float]] | None = None
    each_once: bool = False  # return a frame once even if it is on the screen at several of the times

    def targets(self, duration: float) -> np.ndarray:
        """Return the times in seconds from the beginning of the video, given its whole duration."""
        length = min(self.window[1], duration) - self.window[0]
        if not length > 0:
            raise MediaError(self.name, f"has no frames from {self.window[0]:g} s on; it is {duration:g} s long")
        if self.times_of is not None:
            return np.asarray(self.times_of(length), dtype=np.float64) + self.window[0]
        assert self.num_frames is not None
        return self.window[0] + (np.arange(self.num_frames) + 0.5) * length / self.num_frames


@loader
@one_by_one
def load_frames(
    source: Source | Sequence[str | Path],
    num_frames: int | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    sample_rate: float | None = None,
    frames_per_second: float | None = None,
    most: int | None = None,
) -> Frames:
    """Load frames, spread evenly: those in the middles of `num_frames` equal parts.

    Where there are fewer frames, all of them are returned, none twice.

    Args:
        source: a video file, an animated GIF, PNG, WebP or AVIF, a list of picture files in order, a folder of them (in
            natural order: 2 before 10), an array `[T, H, W, 3]`, or a still picture (one frame).
        num_frames: how many at most; default: the item's option `num_frames`, or all.
        start, end: only from this part, in seconds (default: the item's options, or all).
        sample_rate: how many frames of each second, from the beginning of the part on (default: the item's option, or
            all); where these are more than `num_frames`, that many of them, evenly spread.
        frames_per_second: the rate of pictures without times (default: the item's option, or 10).
        most: more frames than this are an error (4096, and 2 GB of pixels, if it is not given).

    Raises:
        MediaError: a file is missing or damaged, there are no frames or too many, or an option is wrong.
    """
    name = describe_source(source)
    count = number_option(source, "num_frames", num_frames, least=1, most=_MOST_FRAMES)
    if count is not None and not count.is_integer():
        raise MediaError(name, f"num_frames must be a whole number, got {count:g}")
    wanted_rate = number_option(source, "sample_rate", sample_rate, least=1e-6, most=1e6)
    limit = _MOST_FRAMES if most is None else most

    def at_rate(duration: float) -> list[float]:
        assert wanted_rate is not None
        total = max(1, int(np.ceil(duration * wanted_rate - 1e-6)))
        if count is None and total > limit:
            problem = f"has {total} frames at {wanted_rate:g} a second, more than {limit}"
            raise MediaError(name, f"{problem}; give num_frames")
        return [index / wanted_rate for index in spread_indices(total, limit if count is None else int(count))]

    window, rate = _window(source, start, end, name), _rate(source, frames_per_second)
    times_of = None if wanted_rate is None else at_rate
    whole_count = None if count is None else int(count)
    return _load(source, _Wanted(name, window, rate, whole_count, limit, times_of, each_once=True))


def fewest_frames(media: Media, most: int) -> int:
    """Return how many frames to load for an encoder that takes at most so many: fewer where the item asks for fewer.

    Raises:
        MediaError: the item's option `num_frames` is no whole number from 1 on.
    """
    asked = number_option(media, "num_frames", None, least=1, most=_MOST_FRAMES)
    if asked is not None and not asked.is_integer():
        raise MediaError(media.describe(), f"num_frames must be a whole number, got {asked:g}")
    return most if asked is None else min(most, int(asked))


@loader
@one_by_one
def load_frames_at(source: Source | Sequence[str | Path], wanted: Callable[[float], Sequence[float]]) -> Frames:
    """Load the frames that are on the screen at certain times, one for each time, in the order of the times given.

    Args:
        source: see `load_frames`; the item's options `start`, `end` and `frames_per_second` count, `num_frames` and
            `sample_rate` not.
        wanted: gives the times, in seconds from the beginning (of the part between `start` and `end`), for the
            duration of that part in seconds. Times after its end give its last frame.

    Raises:
        MediaError: a file is missing or damaged, or there are no frames.
    """
    name = describe_source(source)
    window, rate = _window(source, None, None, name), _rate(source, None)
    return _load(source, _Wanted(name, window, rate, times_of=wanted))


def _load(source: Any, wanted: _Wanted) -> Frames:
    content: Any = [str(path) for path in source] if isinstance(source, list | tuple) else content_of(source)
    if isinstance(content, str) and Path(content).is_dir():
        content = _pictures_in(Path(content), wanted.name)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]  # a list of one: perhaps a video file
        content_of(content)
    if isinstance(content, list | tuple | np.ndarray):
        if isinstance(content, np.ndarray) and content.ndim != 4:
            problem = f"a video must be an array [T, H, W, 3], got the shape {list(content.shape)}"
            raise MediaError(wanted.name, problem)
        times = np.arange(len(content)) / wanted.rate
        chosen = _choose(times, wanted, len(content) / wanted.rate)
        scale = shared_range(content)
        pictures = ((times[index], load_image(content[index], item_range=scale)) for index in chosen)
        return _gathered(pictures, wanted)
    if isinstance(content, Image.Image) or _is_picture(content):
        return _animation_frames(content, wanted)
    return _container_frames(content, wanted)


def _window(source: Any, start: float | None, end: float | None, name: str) -> tuple[float, float]:
    first = number_option(source, "start", start, least=0, default=0.0)
    last = number_option(source, "end", end, least=0, default=float("inf"))
    assert first is not None
    assert last is not None
    if first >= last:
        raise MediaError(name, f"the part from {first:g} to {last:g} seconds is empty")
    return first, last


def _rate(source: Any, given: float | None) -> float:
    return number_option(source, "frames_per_second", given, least=1e-6, most=1e6) or DEFAULT_FRAMES_PER_SECOND


def _gathered(frames: Iterable[tuple[float, Image.Image]], wanted: _Wanted) -> Frames:
    """Return the frames with their times, within the limits."""
    images: list[Image.Image] = []
    times: list[float] = []
    num_bytes = 0
    for time, image in frames:
        if len(images) == wanted.most and wanted.times_of is None:
            raise MediaError(wanted.name, f"has more than {wanted.most} frames; give num_frames")
        if not images or image is not images[-1]:
            num_bytes += 3 * image.width * image.height
        if num_bytes > _MOST_BYTES:
            size = f"{len(images)} frames of {image.width} x {image.height} pixels"
            raise MediaError(wanted.name, f"takes more than 2 GB ({size} and more); take fewer, or make it smaller")
        images.append(image)
        times.append(float(time))
    if not images:
        raise MediaError(wanted.name, "has no frames that can be decoded; it is damaged or cut off")
    return Frames(images, np.array(times))


def _choose(times: np.ndarray, wanted: _Wanted, duration: float) -> list[int]:
    """Return the indices of the wanted frames where all times, and the length of the whole, are known."""
    inside = np.flatnonzero((times >= wanted.window[0]) & (times < wanted.window[1]))
    if wanted.times_of is not None:
        targets = wanted.targets(duration) + 1e-6
        latest = np.searchsorted(times, wanted.window[1], side="left") - 1
        found = (np.searchsorted(times, targets, side="right") - 1).clip(0, latest)
        return (np.unique(found) if wanted.each_once else found).tolist()
    if len(inside) == 0 and len(times) and wanted.window[0] < duration:
        inside = np.searchsorted(times, wanted.window[:1], side="right") - 1  # one that stays on the screen
    if len(inside) == 0:
        problem = f"has no frames from {wanted.window[0]:g} s on; it has {len(times)} frames in all"
        raise MediaError(wanted.name, problem)
    count = wanted.num_frames
    if count is None and len(inside) > wanted.most:
        raise MediaError(wanted.name, f"has {len(inside)} frames, more than {wanted.most}; give num_frames")
    if count is None or len(inside) <= count:
        return inside.tolist()
    middles = (np.arange(count) + 0.5) * len(inside) / count
    return inside[middles.astype(int)].tolist()


def _pictures_in(folder: Path, name: str) -> list[str]:
    pictures = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_EXTENSIONS and file.name[0] != "."]
    if not pictures:
        raise MediaError(name, f"the folder holds no pictures ({' '.join(IMAGE_EXTENSIONS)})")
    return [str(file) for file in sorted(pictures, key=lambda file: _natural_key(file.name))]


def _natural_key(text: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", text.lower())]


def _is_picture(content: str | bytes) -> bool:
    try:
        with open_picture(content):
            return True
    except Image.DecompressionBombError:
        return True  # the error is told where the picture is loaded
    except Exception:  # decoders of broken bytes raise nearly anything
        return what_it_looks_like(content).endswith("a PNG picture")  # perhaps with a text that is too large


def _animation_frames(content: str | bytes | Image.Image, wanted: _Wanted) -> Frames:
    name = wanted.name
    try:
        animation = Animation(content, name)
        times, duration = animation.times(1 / wanted.rate)
        chosen = _choose(times, wanted, duration)
        pictures = animation.pictures(chosen)
        return _gathered(((times[index], pictures[index]) for index in chosen), wanted)
    except MediaError:
        raise
    except Exception as error:  # as above
        raise MediaError(name, f"is damaged or cut off ({error})") from error


def _container_frames(content: str | bytes, wanted: _Wanted) -> Frames:
    looks = what_it_looks_like(content)
    try:
        with VideoReader(content, wanted.name) as reader:
            return _read(reader, wanted)
    except MediaError:
        raise
    except Exception as error:  # FFmpeg's errors and PyAV's own have no common class
        raise MediaError(wanted.name, f"is not a video that can be read ({error}){looks}") from error


def _read(reader: VideoReader, wanted: _Wanted) -> Frames:
    check_seconds(min(wanted.window[1], reader.duration) - wanted.window[0], wanted.name)
    if wanted.times_of is None and wanted.num_frames is None:
        length = min(wanted.window[1], reader.duration)
        if not length > wanted.window[0]:
            wanted.targets(reader.duration)  # raises
        frames = reader.all_frames(*wanted.window)
        return _gathered(((time, reader.shown(frame)) for time, frame in frames), wanted)
    targets = wanted.targets(reader.duration)
    order = np.argsort(targets, kind="stable")  # reading goes forward only
    found: list[tuple[float, Image.Image]] = []
    for time, frame in reader.frames_at(targets[order].tolist()):
        is_same = bool(found) and time <= found[-1][0]
        if not (is_same and (wanted.times_of is None or wanted.each_once)):
            found.append(found[-1] if is_same else (time, reader.shown(frame)))
    if wanted.times_of is not None and not wanted.each_once and len(found) == len(targets):
        found = [found[place] for place in np.argsort(order, kind="stable")]
    return _gathered(found, wanted)
