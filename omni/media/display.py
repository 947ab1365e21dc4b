"""From a decoded frame of a video to the picture that a player shows: square pixels, turned and mirrored as the file
says."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from omni.media.pixel_limit import check_pixels

_STRONGEST_STRETCH = 16  # anything beyond is a damaged header: anamorphic film has 2, DV 1.46
_STRAIGHT = 1.0  # degrees; FFmpeg takes turns within one degree of a right angle for right angles


def shown_frame(frame: Any, pixel_shape: Fraction | None, matrix: np.ndarray | None, name: str) -> Image.Image:
    """Return a frame as RGB, as players show it.

    Args:
        frame: of PyAV.
        matrix: the display matrix (see `display_matrix`), applied whole: telephones store how they were held, and front
            cameras that they mirror.
        pixel_shape: width to height of one stored pixel (the *sample aspect ratio*), or None for square ones; the
            width follows it, and the height stays, as players do it.
        name: for errors.

    Raises:
        MediaError: the picture has too many pixels.
    """
    width = frame.width
    if pixel_shape and 1 / _STRONGEST_STRETCH <= pixel_shape <= _STRONGEST_STRETCH:
        width = max(1, round(frame.width * pixel_shape))
    check_pixels(width, frame.height, name)
    # A converter of its own, and not the frame's, ends its threads here and not when the frame is freed.
    image = VideoReformatter().reformat(frame, width, frame.height, "rgb24").to_image()
    return image if matrix is None else _turned(image, matrix)


def display_matrix(frame: Any) -> np.ndarray | None:
    """Return the display matrix of a decoded frame, 9 numbers, or None.

    Ask one frame of a video: PyAV keeps a frame whose side data were read until Python collects garbage.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32)


def _turned(image: Image.Image, matrix: np.ndarray) -> Image.Image:
    """Apply a display matrix (ISO/IEC 14496-12, 8.3.2): a point goes from (x, y) to (a x + c y, b x + d y)."""
    if len(matrix) < 5:
        return image
    a, b, c, d = (float(matrix[place]) for place in (0, 1, 3, 4))
    if math.hypot(a, c) == 0 or math.hypot(b, d) == 0 or a * d == b * c:
        return image  # it shows nothing at all, so it is damaged
    degrees = math.degrees(math.atan2(b, a))
    if abs((degrees + 45) % 90 - 45) > _STRAIGHT:
        mirrored = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if a * d < b * c else image
        return mirrored.rotate(-degrees, expand=True)
    if abs(a) < abs(b):  # rows become columns
        image = image.transpose(Image.Transpose.TRANSPOSE)
        across, down = c, b
    else:
        across, down = a, d
    if across < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if down < 0 else image
