"""Pictures: from any file, bytes or array that Pillow or NumPy can hold, to 8-bit RGB."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from omni.media import jpeg, png
from omni.media.brightness import Range, joint_range, range_of, sixteen_to_eight, to_bytes
from omni.media.colour_profile import to_srgb
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.large_pictures import one_by_one
from omni.media.loading import loader
from omni.media.pixel_limit import PIXEL_LIMIT_VARIABLE, check_pixels, pixel_limit
from omni.media.source import Source, content_of, describe_source, what_it_looks_like
from omni.media.stored import StoredNumbers, read_stored

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm")
# No others: Pillow knows some forty, of which EPS starts Ghostscript, whatever the file's name is.
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


@loader
@one_by_one
def load_image(source: Source, *, item_range: Range | None = None) -> Image.Image:
    """Load a picture as 8-bit sRGB, upright (EXIF orientation applied) and without transparency (laid on white).

    An animated picture gives its first frame. Colours of an ICC profile are converted to sRGB. 16 bits are divided by
    257. Arrays are `[H, W]`, `[H, W, 1 | 2 | 3 | 4]` or `[3, H, W]`: bool, integers 0-255, uint16, or floats, either
    all in 0-1 or in 0-255, give or take a tenth, which is cut off.

    Args:
        source: a file, bytes, an array or a picture.
        item_range: the least and greatest number of all frames of the item that this picture is one of (see
            `number_range`), by which the scale of floats is chosen; default: of this picture.

    Raises:
        MediaError: the file is missing, broken, not a picture, or has more pixels than the limit (Pillow's,
            89 million; the environment variable OMNI_MAX_IMAGE_PIXELS sets another).
    """
    name = describe_source(source)
    content = content_of(source)
    if isinstance(content, list) and len(content) == 1:
        return load_image(Media("image", path=content[0]), item_range=item_range)
    if isinstance(content, list | tuple):
        raise MediaError(name, f"expected one picture, got {len(content)}; frames need a video encoder")
    if isinstance(content, np.ndarray):
        return to_rgb(_image_from_array(content, name, item_range), name)
    if isinstance(content, Image.Image):
        return to_rgb(content, name, item_range)
    stored = _stored(content, name)
    if stored is not None:
        return to_rgb(image_from_stored(stored, name, item_range), name)
    with open_image(content, name) as image:
        return to_rgb(image, name, item_range)


def number_range(source: Source) -> Range | None:
    """Return the least and greatest number of a picture whose scale depends on them (see `omni.media.brightness`), or
    None, as of all pictures of 8 bits, and of files that cannot be read."""
    try:
        content = content_of(source)
        if isinstance(content, str | bytes):
            stored = _stored(content, describe_source(source))
            if stored is not None:
                return None if stored.white else range_of(stored.values)
            with open_picture(content) as image:
                return range_of(np.asarray(image)) if image.mode in ("I", "F") else None
        if isinstance(content, Image.Image):
            return range_of(np.asarray(content)) if content.mode in ("I", "F") else None
        return range_of(content) if isinstance(content, np.ndarray) else None
    except Exception:  # told where the picture is loaded
        return None


def shared_range(sources: Any) -> Range | None:
    """Return the range by which all frames of an item, an array `[T, ...]` or a list of pictures, are scaled."""
    if isinstance(sources, np.ndarray):
        return range_of(sources)
    first = number_range(sources[0])
    return None if first is None else joint_range([first, *(number_range(source) for source in sources[1:])])


def open_picture(content: str | Path | bytes) -> Image.Image:
    """Open a picture of one of the `PICTURE_FORMATS` with Pillow, without decoding it yet.

    Raises whatever Pillow raises on broken bytes, which has no common class.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # an error of our own follows
        return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=PICTURE_FORMATS)


def open_image(content: str | Path | bytes, name: str) -> Image.Image:
    """Open a picture and decode its first frame, with the limit on its pixels checked.

    A second opinion is taken where Pillow refuses what other decoders show: PNG with large texts or wrong checksums in
    chunks without pixels, and JPEG without its end mark.

    Raises:
        MediaError: it is no picture of the `PICTURE_FORMATS`, it is damaged, or it has too many pixels.
    """
    pixel_limit()
    try:
        return _opened(content, name)
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        raise MediaError(name, f"{error}; if you trust it, set {PIXEL_LIMIT_VARIABLE} higher") from error
    # Decoders of broken bytes raise nearly anything (OSError, SyntaxError, struct.error, ValueError, ...).
    except Exception as error:
        repaired = _repaired(content, name)
        if repaired is not None:
            return repaired
        if isinstance(error, Image.UnidentifiedImageError | FileNotFoundError | IsADirectoryError):
            looks = what_it_looks_like(content if isinstance(content, bytes) else str(content))
            raise MediaError(name, f"is not a picture that can be read ({error}){looks}") from error
        raise MediaError(name, f"is damaged or cut off ({error}); fetch or export it again") from error


def _opened(content: str | Path | bytes, name: str) -> Image.Image:
    image = open_picture(content)
    try:
        check_pixels(image.width, image.height, name)
        if png.has_sixteen_bit_key(image):
            exact = png.sixteen_bit_colour(_bytes_of(content))
            exact.info = {key: value for key, value in image.info.items() if key != "transparency"}
            image.close()
            return exact
        png.scale_transparent_colour(image)
        if image.format in ("JPEG", "MPO") and _ends_with_zero(image):
            jpeg.check_end(_bytes_of(content), name)
        image.load()
    except BaseException:
        image.close()
        raise
    return image


def _ends_with_zero(image: Any) -> bool:
    """Tell whether the last byte of a picture's file, which is not yet loaded, is zero."""
    place = image.fp.tell()
    image.fp.seek(-1, io.SEEK_END)
    last = image.fp.read(1)
    image.fp.seek(place)
    return last == b"\0"


def _repaired(content: str | Path | bytes, name: str) -> Image.Image | None:
    """Return the picture of a file that Pillow refuses, if all its pixels are there."""
    try:
        data = _bytes_of(content)
        if data.startswith(jpeg.MAGIC):
            whole = jpeg.with_end_mark(data)
            return None if whole is None else _opened(whole, name)
        if data.startswith(png.MAGIC):
            for keep_texts in (True, False):
                cleaned, profile = png.without_needless_chunks(data, keep_texts)
                try:
                    image = _opened(cleaned, name)
                except Exception:  # see open_image
                    continue
                if profile is not None:
                    image.info["icc_profile"] = profile
                return image
    except Exception:  # see open_image; the first error says more
        return None
    return None


def _bytes_of(content: str | Path | bytes) -> bytes:
    return content if isinstance(content, bytes) else Path(content).read_bytes()


def to_rgb(image: Image.Image, name: str = "picture", item_range: Range | None = None) -> Image.Image:
    """Return the current frame of `image` as 8-bit sRGB, upright and on white.

    Args:
        image: of Pillow, of any mode.
        name: for errors.
        item_range: see `load_image`.

    Raises:
        MediaError: it cannot be decoded (truncated, damaged) or its values have no meaning as brightness.
    """
    image = with_alpha(image, name, item_range)
    try:
        if image.has_transparency_data:
            return on_white(image)
        # A copy, so that the result never shares memory with, or depends on, what was opened.
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    except ValueError as error:
        raise MediaError(name, f"has the colour mode {image.mode!r}, which cannot be shown as RGB ({error})") from error


def on_white(image: Image.Image) -> Image.Image:
    """Return a picture with transparent parts as RGB, laid on white."""
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def with_alpha(image: Image.Image, name: str, item_range: Range | None = None) -> Image.Image:
    """Return the current frame in 8 bits, upright and in sRGB, in a mode with alpha if it has transparent parts.

    Arguments and errors are those of `to_rgb`.
    """
    try:
        png.scale_transparent_colour(image)
        image.load()
    except Exception as error:  # see open_image
        raise MediaError(name, f"is damaged or cut off ({error}); fetch or export it again") from error
    profile = image.info.get("icc_profile")
    image = upright(image)
    if image.mode in (*_SIXTEEN_BIT_MODES, "I", "F"):
        image = _eight_bit(image, name, item_range)
    try:
        if "transparency" in image.info or image.mode in ("P", "PA"):
            image = image.convert(_mode_with_alpha(image) if image.has_transparency_data else "RGB")
        return to_srgb(image, profile) if profile else image
    except ValueError as error:
        raise MediaError(name, f"has the colour mode {image.mode!r}, which cannot be shown as RGB ({error})") from error


def upright(image: Image.Image) -> Image.Image:
    """Return the picture turned as its EXIF orientation says."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data says nothing about the pixels, so the picture stays as stored
        return image


def _mode_with_alpha(image: Image.Image) -> str:
    return "LA" if image.mode == "L" else "RGBA"


def _eight_bit(image: Image.Image, name: str, item_range: Range | None) -> Image.Image:
    """Reduce a grey picture of more than 8 bits: divide 16 bits by 257, and scale others by what their range shows."""
    values = np.asarray(image)
    if image.mode not in _SIXTEEN_BIT_MODES:
        return _grey_image(values, name, item_range)
    grey = Image.fromarray(sixteen_to_eight(values))
    key = image.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _grey_image(values: np.ndarray, name: str, item_range: Range | None) -> Image.Image:
    low, high = item_range or range_of(values) or (0.0, 0.0)
    if values.dtype.kind in "iu" and low >= 0 and 255 < high <= 65535:
        return Image.fromarray(sixteen_to_eight(values))  # 16 bits, which Pillow and others keep in 32
    return Image.fromarray(to_bytes(values, name, item_range=item_range))


def _stored(content: str | bytes, name: str) -> StoredNumbers | None:
    if isinstance(content, str) and Path(content).is_dir():
        return None
    return read_stored(content, name)


def image_from_stored(stored: StoredNumbers, name: str, item_range: Range | None) -> Image.Image:
    """Return stored numbers as 8-bit grey or colour; see `to_rgb` for the arguments and errors."""
    values = stored.values
    if stored.white is not None:
        return Image.fromarray(to_bytes(values, name, white=stored.white))
    if values.ndim == 2 and values.dtype not in (np.uint8, np.uint16):
        image = _grey_image(values, name, item_range)
    else:
        image = Image.fromarray(np.ascontiguousarray(to_bytes(values, name, item_range=item_range)))
    return ImageOps.invert(image) if stored.zero_is_white and image.mode == "L" else image


def _image_from_array(array: np.ndarray, name: str, item_range: Range | None) -> Image.Image:
    if array.dtype.kind not in "biuf":
        raise MediaError(name, f"a picture must be of numbers, got the type {array.dtype}")
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 2, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)) or array.size == 0:
        raise MediaError(name, "a picture must be an array [H, W], [H, W, 1 | 2 | 3 | 4] or [3, H, W], none of them 0")
    check_pixels(array.shape[1], array.shape[0], name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(to_bytes(array, name, item_range=item_range)))
