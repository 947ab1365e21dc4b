"""Clips of videos that data sets name by a YouTube id and a window: their files, and whether these still need a cut.

People keep such clips under many names (`ID.wav`, `YID.wav`, `ID_30.flac`, `ID_000030.mp4`, `ID_30000_40000.wav`), and
some keep whole videos. The length of a file tells which it is.
"""

from pathlib import Path
from typing import Any

from eval.data.files import Files

SOUND_ENDINGS = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm", ".aac")
VIDEO_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")

_LONGER = 2.0  # seconds by which a clip may be longer than its window: cuts are made at key frames
_SHORTER = 0.5  # seconds that a video must have of its window


def find_clip(files: Files, names: list[str], endings: tuple[str, ...] = (*SOUND_ENDINGS, ".mp4", ".mkv")) -> Path:
    """Return the first file that has one of these names with one of these endings.

    Raises:
        FileNotFoundError: there is none; the message lists the names.
        ValueError: several lie equally deep, so that it is not clear which is meant.
    """
    for name in names:
        for ending in endings:
            if files.matching(name + ending):
                return files.find(name + ending)
    listed = ", ".join(names)
    raise FileNotFoundError(f"{listed} (with {', '.join(endings)}) is not in {files.folder}")


def clip_names(video: str, start: float, end: float) -> list[str]:
    """Return the names without ending under which people keep seconds `start` to `end` of a YouTube video."""
    first, last = int(start), int(end)
    windows = (
        f"_{first}",
        f"_{first:06d}",
        f"_{first}_{last}",
        f"_{round(start * 1000)}_{round(end * 1000)}",
        f"_{start:.3f}_{end:.3f}",
        f"_{round(start * 1000)}",
        "",
    )
    return [f"{prefix}{video}{window}" for window in dict.fromkeys(windows) for prefix in ("", "Y")]


def window_options(path: Path, start: float, end: float) -> dict[str, Any]:
    """Return the options that cut seconds `start` to `end` out of a file; none where the file is that clip already.

    A file whose length cannot be read is left to its loader, which names what is wrong with it.

    Raises:
        ValueError: the file is too long for the clip, and too short for the video.
    """
    length = _seconds(path)
    if length is None or length <= end - start + _LONGER:
        return {}
    if length < start + _SHORTER:
        raise ValueError(
            f"{path} is {length:.1f} s long: neither the clip of {end - start:g} s nor a video that has the seconds "
            f"{start:g} to {end:g}"
        )
    return {"options": {"start": float(start), "end": float(end)}}


def _seconds(path: Path) -> float | None:
    import av

    try:
        with av.open(str(path)) as container:
            return None if container.duration is None else container.duration / 1_000_000  # AV_TIME_BASE
    except (OSError, ValueError):  # FFmpeg's errors are kinds of these
        return None
