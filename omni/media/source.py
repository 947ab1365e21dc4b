"""Sources of media: the checks that all loaders make first, so that errors say plainly what a file is not."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omni.media.errors import MediaError
from omni.media.item import Media, shorten

Source = Media | str | Path | bytes | np.ndarray | Image.Image
Content = str | list[str] | bytes | np.ndarray | Image.Image | tuple[Image.Image, ...]

_SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a RIFF file (WAV, WebP or AVI)",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC sound",
    b"ID3": "an MP3 sound",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"glTF": "a GLB model",
    b"\x93NUMPY": "a NumPy array",
    b"v/1\x01": "an OpenEXR picture",
    b"PAR1": "a Parquet table",
    b"version https://git-lfs": "a Git LFS pointer, so the real file was never fetched (run `git lfs pull`)",
}


def describe_source(source: Any) -> str:
    """Return the words by which an error names `source`."""
    if isinstance(source, Media):
        return source.describe()
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, np.ndarray):
        return f"array {source.dtype} {list(source.shape)}"
    if isinstance(source, bytes):
        return f"{len(source)} bytes"
    return f"a {type(source).__name__}"


def content_of(source: Any) -> Content:
    """Return the content of `source`: a checked path, a list of paths, bytes (not empty), an array or pictures.

    Raises:
        MediaError: the file is missing, empty or not readable; there are zero bytes; or features stand where media is
            needed.
    """
    name = describe_source(source)
    if isinstance(source, Media):
        if source.features is not None:
            raise MediaError(
                name, "holds ready-made features, which need the encoder omni.encoders.PrecomputedFeatures"
            )
        content: Any = source.path if source.path is not None else source.data
    else:
        content = str(source) if isinstance(source, Path) else source
    if isinstance(content, str):
        check_file(content, name)
    elif isinstance(content, bytes) and not content:
        raise MediaError(name, "is empty (zero bytes); it was probably cut off while being copied or downloaded")
    elif not _is_content(content, isinstance(source, Media) and source.path is None):
        raise MediaError(name, f"expected a path, bytes, an array or a picture, got {type(content).__name__}")
    return content


def _is_content(content: Any, is_data: bool) -> bool:
    if isinstance(content, list | tuple):  # paths of files, or pictures
        kind = Image.Image if is_data else str
        return bool(content) and all(isinstance(part, kind) for part in content)
    return isinstance(content, bytes | np.ndarray | Image.Image)


def option(source: Any, name: str, given: Any) -> Any:
    """Return the argument `given` to a loader, or, if it is None, the item's own option of that name."""
    return source.options.get(name) if given is None and isinstance(source, Media) else given


def check_file(path: str, name: str) -> None:
    """Raise MediaError unless `path` exists, can be read and is not empty. Folders pass: some media are folders."""
    if not os.path.exists(path):
        raise MediaError(name, _missing(path))
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise MediaError(name, "is neither a file nor a folder (a pipe or a device)")
    if not os.access(path, os.R_OK):
        raise MediaError(name, "may not be read; check its permissions")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise MediaError(name, "is empty (zero bytes); it was probably cut off while being copied or downloaded")


def what_it_looks_like(content: str | bytes) -> str:
    """Return `; it looks like ...`, which says what a file or bytes that could not be decoded seem to be, or an empty
    string."""
    if isinstance(content, str):
        if os.path.isdir(content):
            return "; it is a folder"
        with open(content, "rb") as file:
            head = file.read(512)
    else:
        head = content[:512]
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return f"; it starts like {kind}"
    is_text = all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    return "; it looks like a text file with another file's name" if is_text else ""


def _missing(path: str) -> str:
    folder = Path(path).absolute().parent
    if os.path.islink(path):
        return f"is a link to {os.readlink(path)}, which does not exist"
    if not folder.is_dir():
        return f"no such file; the folder {folder} does not exist either: check the manifest's paths"
    same_stem = sorted(entry.name for entry in folder.glob("*") if entry.stem.lower() == Path(path).stem.lower())
    hint = f"; did you mean {same_stem[0]}?" if same_stem else ""
    return f"no such file{hint}"


def number_option(
    source: Any, name: str, given: Any, *, least: float = -1e12, most: float = 1e12, default: float | None = None
) -> float | None:
    """Return the option `name` (see `option`) as a number within bounds, or the default.

    Raises:
        MediaError: it is no number, or out of bounds.
    """
    value = option(source, name, given)
    if value is None:
        return default
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        problem = f"the option {name} must be a number from {least:g} to {most:g}, got {shorten(value)}"
        raise MediaError(describe_source(source), problem)
    return float(value)


def choice_option(source: Any, name: str, given: Any, allowed: Collection[str], default: str | None) -> str | None:
    """Return the option `name` (see `option`) as one of the allowed words, or the default.

    Raises:
        MediaError: it is another one.
    """
    value = option(source, name, given)
    if value is None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise MediaError(
            describe_source(source), f"the option {name} is {shorten(value)}; allowed: {', '.join(allowed)}"
        )
    return value


def check_options(source: Any, known: Collection[str]) -> None:
    """Raise MediaError if an item has an option that its loader does not know: a misspelt one would do nothing."""
    unknown = sorted(set(source.options) - set(known)) if isinstance(source, Media) else []
    if unknown:
        raise MediaError(describe_source(source), f"has no option {unknown[0]!r}; known are {', '.join(sorted(known))}")
