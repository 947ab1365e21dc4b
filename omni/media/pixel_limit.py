"""The most pixels that a picture may have: a small file can claim, and unpack to, more than fits the memory."""

import os

from PIL import Image

from omni.media.errors import MediaError
from omni.media.large_pictures import wait_for_turn

PIXEL_LIMIT_VARIABLE = "OMNI_MAX_IMAGE_PIXELS"


def check_pixels(width: int, height: int, name: str) -> None:
    """Raise MediaError if a picture of this size has more pixels than the limit (Pillow's, 89 million, or the
    environment variable's); within a loader, wait for its turn if the picture is large."""
    limit = pixel_limit()
    if limit is not None and width * height > limit:
        size = f"{width} x {height} = {width * height} pixels"
        raise MediaError(name, f"has {size}, over the limit of {limit} pixels; {_how_to_raise(limit)}")
    wait_for_turn(width * height)


def pixel_limit() -> int | None:
    """Return the most pixels that a picture may have; Pillow's own setting keeps it, and its decoders check it too.

    Raises ValueError if the environment variable is no number.
    """
    text = os.environ.get(PIXEL_LIMIT_VARIABLE)
    if text:
        if not text.isdigit() or int(text) == 0:
            raise ValueError(
                f"the environment variable {PIXEL_LIMIT_VARIABLE} must be a number of pixels, got {text!r}"
            )
        Image.MAX_IMAGE_PIXELS = int(text)
    return Image.MAX_IMAGE_PIXELS


def _how_to_raise(limit: int | None) -> str:
    """Return the words that say what the limit is for, and how to set another."""
    return (
        "this guards against files that unpack to fill the memory; if you trust it, make it smaller or set the "
        f"environment variable {PIXEL_LIMIT_VARIABLE} above {limit}"
    )
