"""Pictures of one measured value per pixel (depth, temperature), with their own numbers instead of 8-bit brightness.

Shapes: H, W height and width in pixels.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omni.media.errors import MediaError
from omni.media.image import open_image, upright
from omni.media.large_pictures import one_by_one
from omni.media.loading import loader
from omni.media.npy import read_npy
from omni.media.pixel_limit import check_pixels
from omni.media.source import Source, content_of, describe_source, option
from omni.media.stored import StoredNumbers, read_stored
from omni.runtime.extras import import_extra

_NPY, _EXR = b"\x93NUMPY", b"v/1\x01"
# The channels that may hold one measured value, in order of preference; renderers put depth into any of them.
_EXR_CHANNELS = ("Z", "depth.Z", "Depth.Z", "ViewLayer.Depth.Z", "V", "Y", "R")
_GREY_MODES = ("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")


@loader
@one_by_one
def load_plane(source: Source, *, colour: bool = False) -> np.ndarray:
    """Load a picture of one channel as `[H, W]` with the numbers and the type of the file.

    See `load_stored_plane`.
    """
    return load_stored_plane(source, colour=colour).values


@loader
@one_by_one
def load_stored_plane(source: Source, *, colour: bool = False) -> StoredNumbers:
    """Load a picture of one channel as `[H, W]` with the numbers and the type of the file, and what is white.

    Args:
        source: PNG, PGM, TIFF (integers of 8 to 64 bits, floats of 16 to 64), JPEG, OpenEXR (its channel Z, Y, R, or
            the item's option `channel`), NPY, bytes of one of them, a picture of Pillow, or an array `[H, W]`,
            `[1, H, W]` or `[H, W, 1]`. The content of a file tells its format.
        colour: whether pictures and arrays `[H, W, 3 | 4]` in colour are taken too, as their brightness.

    Raises:
        MediaError: the file is missing, damaged, in colour, has too many pixels (see `load_image`), or the array has
            another shape or is not of numbers.
    """
    name = describe_source(source)
    content: Any = content_of(source)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if isinstance(content, list | tuple):
        raise MediaError(name, f"expected one picture, got {len(content)}")
    if isinstance(content, np.ndarray):
        return StoredNumbers(_one_channel(content, colour, name))
    if isinstance(content, Image.Image):
        return StoredNumbers(_from_picture(content, colour, name))
    head = _head(content, name)
    if head.startswith(_NPY):
        return StoredNumbers(_one_channel(read_npy(content, name), colour, name))
    if head.startswith(_EXR):
        return StoredNumbers(_from_exr(content, option(source, "channel", None), name))
    stored = read_stored(content, name)
    if stored is not None and stored.values.ndim == 2:
        return stored
    with open_image(content, name) as image:
        return StoredNumbers(_from_picture(image, colour, name))


def _head(content: str | bytes, name: str) -> bytes:
    if isinstance(content, bytes):
        return content[:8]
    if Path(content).is_dir():
        raise MediaError(name, "is a folder; expected one picture")
    with open(content, "rb") as file:
        return file.read(8)


def _from_picture(image: Image.Image, colour: bool, name: str) -> np.ndarray:
    try:
        image.load()
    except Exception as error:  # decoders of broken bytes raise nearly anything
        raise MediaError(name, f"is damaged or cut off ({error}); fetch or export it again") from error
    image = upright(image)
    if image.mode not in _GREY_MODES:
        if not colour:
            problem = f"is in colour ({image.mode}): a rendering of the values, from which they cannot be had back"
            raise MediaError(name, f"{problem}; give the file with the values themselves (16-bit PNG, TIFF, EXR, NPY)")
        image = image.convert("RGB").convert("L")
    elif image.mode in ("1", "LA"):
        image = image.convert("L")
    return np.asarray(image)


def _from_exr(content: str | bytes, channel: Any, name: str) -> np.ndarray:
    openexr = import_extra("OpenEXR", "sensors", "OpenEXR pictures")
    try:
        with openexr.File(_stream(content), header_only=True) as file:
            low, high = file.header()["dataWindow"]  # the header is emptied when the file is closed
            width, height = (int(last) - int(first) + 1 for first, last in zip(low, high, strict=True))
    except Exception as error:  # the library raises RuntimeError and others on broken bytes
        raise MediaError(name, f"cannot be read as OpenEXR ({error})") from error
    check_pixels(width, height, name)
    try:
        with openexr.File(_stream(content), separate_channels=True) as file:
            planes = {key: np.array(plane.pixels) for key, plane in file.channels().items()}
    except Exception as error:
        raise MediaError(name, f"is damaged or cut off ({error}); fetch or export it again") from error
    if channel is not None and not isinstance(channel, str):
        raise MediaError(name, f"the option channel must be a name, got {channel!r}")
    wanted = [channel] if channel is not None else [key for key in _EXR_CHANNELS if key in planes]
    if not wanted and len(planes) == 1:
        wanted = [*planes]
    if not wanted or wanted[0] not in planes:
        missing = "no channel of depth" if channel is None else f"no channel {channel!r}"
        raise MediaError(name, f"has {missing}; its channels are {', '.join(planes)}: name one as option 'channel'")
    return _one_channel(planes[wanted[0]], False, name)


def _stream(content: str | bytes) -> Any:
    return io.BytesIO(content) if isinstance(content, bytes) else content


def _one_channel(array: np.ndarray, colour: bool, name: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise MediaError(name, f"must be of numbers, got the type {array.dtype}")
    shape = array.shape
    if array.ndim == 3 and shape[0] == 1:
        array = array[0]
    elif array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    elif array.ndim == 3 and shape[2] in (3, 4) and colour and array.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(array[:, :, :3])).convert("L"))
    if array.ndim != 2 or array.size == 0:
        raise MediaError(name, f"must be an array [height, width], got {list(shape)}")
    check_pixels(array.shape[1], array.shape[0], name)
    return array
