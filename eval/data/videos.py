"""Videos and their sound by the names that annotation files use, with or without the ending of the file."""

from pathlib import Path
from typing import Any

from eval.data.files import Files
from eval.data.rows import Part
from omni.media.frames import VIDEO_EXTENSIONS
from omni.media.sound import SOUND_EXTENSIONS

_ENDINGS = tuple(dict.fromkeys(one for ending in VIDEO_EXTENSIONS for one in (ending, ending.upper())))
_PICTURES = (".jpg", ".jpeg", ".png")


def video_part(files: Files, *names: str, **details: Any) -> Part:
    """Return the part of a message for a video: the first of `names` that is there, or a folder of frames so named.

    Args:
        files: of the benchmark.
        names: file names, or ends of paths; the ending may be left out, or be another one than the file's.
        details: other keys of the part, such as `options={"start": 1.0, "end": 2.0}`.

    Raises:
        FileNotFoundError: none is there.
        ValueError: several lie equally deep, so that it is not clear which is meant.
    """
    return {"type": "video", "path": _path(files, names), **details}


def sound_part(files: Files, *names: str, **details: Any) -> Part:
    """Return the part for the sound of a video: a sound file so named, else the video file, whose track is read.

    Raises:
        FileNotFoundError, ValueError: as `video_part`.
    """
    own = [pattern for name in names for pattern in _patterns(name, SOUND_EXTENSIONS)]
    found = next((pattern for pattern in own if files.matching(pattern)), None)
    return {"type": "sound", "path": str(files.find(found)) if found else _path(files, names), **details}


def find_video(files: Files, *names: str) -> Path:
    """Return the file of a video; see `video_part`.

    Raises:
        FileNotFoundError, ValueError: as `video_part`.
    """
    for name in names:
        for pattern in (name, *_patterns(name, _ENDINGS)):
            if files.matching(pattern):
                return files.find(pattern)
    raise FileNotFoundError(f"no video {' or '.join(names)} ({', '.join(VIDEO_EXTENSIONS[:4])}, ...) in {files.folder}")


def _path(files: Files, names: tuple[str, ...]) -> str | list[str]:
    try:
        return str(find_video(files, *names))
    except FileNotFoundError:
        found = (_frames(files, name) for name in names)
        frames = next((one for one in found if one), None)
        if frames is None:
            raise
        return frames


def _frames(files: Files, name: str) -> list[str]:
    """Return the pictures in a folder in the order of their numbers."""
    pictures = [path for path in files.matching(f"{name}/*") if path.suffix.lower() in _PICTURES]
    folders = [*dict.fromkeys(path.parent for path in pictures)]
    if len(folders) > 1:
        listed = ", ".join(str(folder.relative_to(files.folder)) for folder in folders[:3])
        raise ValueError(f"the frames {name} are there {len(folders)} times in {files.folder}: {listed}")
    return [str(path) for path in sorted(pictures, key=lambda path: (len(path.name), path.name))]


def _patterns(name: str, endings: tuple[str, ...]) -> list[str]:
    known = name.lower().endswith(VIDEO_EXTENSIONS)  # an id may have a full stop in it
    stem = name.rpartition(".")[0] if known else name
    return [stem + ending for ending in endings]
