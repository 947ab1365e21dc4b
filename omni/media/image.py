"""Pictures: any file, bytes or array that Pillow or NumPy can hold, to 8-bit RGB."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.source import Source, content_of, describe_source, what_it_looks_like

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm")
PIXEL_LIMIT_VARIABLE = "OMNI_MAX_IMAGE_PIXELS"

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


def load_image(source: Source) -> Image.Image:
    """Load a picture as 8-bit RGB, upright (EXIF orientation applied) and without transparency (laid on white).

    An animated picture gives its first frame. 16-bit values are divided by 257. Arrays are `[H, W]`,
    `[H, W, 1 | 2 | 3 | 4]` or `[3, H, W]`: bool, integers 0-255, uint16, or floats, either all in 0-1 or in 0-255.

    Raises:
        MediaError: the file is missing, broken, not a picture, or has more pixels than the limit (Pillow's,
            89 million; the environment variable OMNI_MAX_IMAGE_PIXELS sets another).
    """
    name = describe_source(source)
    content = content_of(source)
    if isinstance(content, list) and len(content) == 1:
        return load_image(Media("image", path=content[0]))
    if isinstance(content, list | tuple):
        raise MediaError(name, f"expected one picture, got {len(content)}; frames need a video encoder")
    if isinstance(content, np.ndarray):
        return to_rgb(_image_from_array(content, name), name)
    if isinstance(content, Image.Image):
        return to_rgb(content, name)
    with open_image(content, name) as image:
        return to_rgb(image, name)


def open_image(content: str | Path | bytes, name: str) -> Image.Image:
    """Open a picture without decoding it yet, with the limit on its pixels checked.

    Raises:
        MediaError: it is no picture that Pillow knows, or it has too many pixels.
    """
    limit = _pixel_limit()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # an error of our own follows
            image = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
    except Image.DecompressionBombError as error:
        raise MediaError(name, f"{error}; {_how_to_raise(limit)}") from error
    # Decoders of broken bytes raise nearly anything (OSError, SyntaxError, struct.error, ValueError, ...).
    except Exception as error:
        looks = what_it_looks_like(content if isinstance(content, bytes) else str(content))
        raise MediaError(name, f"is not a picture that can be read ({error}){looks}") from error
    try:
        check_pixels(image.width, image.height, name)
    except MediaError:
        image.close()
        raise
    return image


def check_pixels(width: int, height: int, name: str) -> None:
    """Raise MediaError if a picture of this size has more pixels than the limit (see `load_image`)."""
    limit = _pixel_limit()
    if limit is not None and width * height > limit:
        size = f"{width} x {height} = {width * height} pixels"
        raise MediaError(name, f"has {size}, over the limit of {limit} pixels; {_how_to_raise(limit)}")


def to_rgb(image: Image.Image, name: str = "picture") -> Image.Image:
    """Return the current frame of `image` as 8-bit RGB, upright and on white; `name` is for errors.

    Raises:
        MediaError: it cannot be decoded (truncated, damaged) or its values have no meaning as brightness.
    """
    try:
        image.load()
    except Exception as error:  # see open_image
        raise MediaError(name, f"is damaged or cut off ({error}); fetch or export it again") from error
    image = upright(image)
    if image.mode in (*_SIXTEEN_BIT_MODES, "I", "F"):
        image = _eight_bit(image, name)
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            return Image.alpha_composite(white, image).convert("RGB")
        # A copy, so that the result never shares memory with, or depends on, what was opened.
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    except ValueError as error:
        raise MediaError(name, f"has the colour mode {image.mode!r}, which cannot be shown as RGB ({error})") from error


def upright(image: Image.Image) -> Image.Image:
    """Return the picture turned as its EXIF orientation says."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data says nothing about the pixels, so the picture stays as stored
        return image


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    """Reduce a grey picture of more than 8 bits: divide 16 bits by 257, and scale others by what their range shows (see
    `_scale_to_bytes`)."""
    values = np.asarray(image)
    if image.mode in _SIXTEEN_BIT_MODES:
        return Image.fromarray(_sixteen_to_eight(values))
    if image.mode == "I" and values.min() >= 0 and 255 < values.max() <= 65535:
        return Image.fromarray(_sixteen_to_eight(values))
    return Image.fromarray(_scale_to_bytes(values, name))


def _sixteen_to_eight(values: np.ndarray) -> np.ndarray:
    # 65535 / 257 = 255 exactly; adding half makes it rounding.
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _image_from_array(array: np.ndarray, name: str) -> Image.Image:
    if array.dtype.kind not in "biuf":
        raise MediaError(name, f"a picture must be of numbers, got the type {array.dtype}")
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 2, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)) or array.size == 0:
        raise MediaError(name, "a picture must be an array [H, W], [H, W, 1 | 2 | 3 | 4] or [3, H, W], none of them 0")
    check_pixels(array.shape[1], array.shape[0], name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = _sixteen_to_eight(array)
    elif array.dtype != np.uint8:
        array = _scale_to_bytes(array, name)
    return Image.fromarray(np.ascontiguousarray(array))


def _scale_to_bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Multiply floats that are all in 0-1 by 255, and round anything in 0-255; refuse the rest instead of guessing."""
    if not np.isfinite(values).all():
        raise MediaError(name, "holds NaN or infinite pixel values")
    low, high = values.min(), values.max()
    if low < 0 or high > 255:
        found = f"pixel values from {low:g} to {high:g}"
        raise MediaError(
            name, f"has {found}; scale them to 0-255 (integers) or 0-1 (floats) before, as fits the sensor"
        )
    if values.dtype.kind == "f" and high <= 1:
        values = values * 255
    return np.rint(values).astype(np.uint8)


def _pixel_limit() -> int | None:
    """Return the most pixels that a picture may have; Pillow's own setting keeps it, and its decoders check it too."""
    text = os.environ.get(PIXEL_LIMIT_VARIABLE)
    if text:
        if not text.isdigit() or int(text) == 0:
            raise ValueError(
                f"the environment variable {PIXEL_LIMIT_VARIABLE} must be a number of pixels, got {text!r}"
            )
        Image.MAX_IMAGE_PIXELS = int(text)
    return Image.MAX_IMAGE_PIXELS


def _how_to_raise(limit: int | None) -> str:
    return (
        "this guards against files that unpack to fill the memory; if you trust it, make it smaller or set the "
        f"environment variable {PIXEL_LIMIT_VARIABLE} above {limit}"
    )
