"""What readers of 3D files need besides geometry: numbers in text, files beside the file, colours of its pictures."""

import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

from omni.media.image import open_image

Beside = Callable[[str], bytes]  # name in a file -> content; raises OSError where there is none


def numbers_in(text: str, dtype: type = np.float64) -> np.ndarray:
    """Return the numbers between the blanks of a text.

    Raises:
        ValueError: there are words among them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # by which NumPy tells of the first word
        try:
            return np.fromstring(text, dtype=dtype, sep=" ")
        except DeprecationWarning as error:
            raise ValueError("there are words among its numbers, or it was cut off") from error


def files_beside(path: str | None) -> Beside:
    """Return what reads files in the folder of `path`, and below, by name or URI; bytes have none (`path` None)."""

    def read(uri: str) -> bytes:
        if path is None:
            raise FileNotFoundError(f"it names the file {uri!r}, which bytes do not have; give a path")
        folder = Path(path).absolute().parent
        for text in dict.fromkeys((uri, unquote(uri), unquote(uri).replace("\\", "/"))):
            found = (folder / text).resolve()
            if found.is_relative_to(folder.resolve()) and found.is_file():
                return found.read_bytes()
        raise FileNotFoundError(f"it names the file {uri!r}, which is not in its folder")

    return read


def picture(content: bytes, name: str) -> Image.Image:
    """Return a texture as RGB."""
    with open_image(content, name) as image:
        return image.convert("RGB")


def colors_at(image: Image.Image, coordinates: np.ndarray) -> np.ndarray:
    """Return the colours `[N, 3]`, float32 in 0-1, of a texture that repeats, at `[N, 2]` with 0, 0 at the top left."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    known = np.nan_to_num(np.asarray(coordinates, np.float64)) % 1.0
    column, row = (known * [width, height]).astype(np.int64).T
    return (pixels[row % height, column % width] / 255).astype(np.float32)
