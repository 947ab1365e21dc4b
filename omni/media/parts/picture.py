"""Parts of a picture: a grid of rectangles, of which hidden ones get the picture's mean colour.

Shapes: H, W height and width in pixels.
"""

import math
from typing import Any

import numpy as np
from PIL import Image

from omni.media.image import load_image
from omni.media.item import Media
from omni.media.parts.contract import Axis, evenly
from omni.media.parts.drawing import lay_over, plain
from omni.media.plane import load_plane


class PictureParts:
    """A picture in a square grid of at most `most` parts."""

    def __init__(self, media: Media, most: int) -> None:
        self.modality = media.modality
        self.pixels = np.array(load_image(media))
        self.axes = square_grid(most)
        self.aspect = self.pixels.shape[0] / self.pixels.shape[1]

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the picture with its mean colour in the hidden parts."""
        pixels = self.pixels.copy()
        pixels[of_pixels(hidden, self.pixels.shape[:2])] = np.rint(self.pixels.mean(axis=(0, 1)))
        return Media(self.modality, data=Image.fromarray(pixels))

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the picture with the heat over it."""
        draw_picture(canvas, self.pixels, self.axes, heat, limit)


class PlaneParts:
    """A depth or thermal picture in a square grid; hidden parts get the median of its numbers, whatever these mean."""

    def __init__(self, media: Media, most: int) -> None:
        self.media = media
        self.values = load_plane(media, colour=True)
        known = self.values[np.isfinite(self.values)]
        # one of its numbers rather than a mean of two: the bits of some encodings are no plain numbers
        self.fill = np.sort(known, axis=None)[known.size // 2]
        self.axes = square_grid(most)
        self.aspect = self.values.shape[0] / self.values.shape[1]

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the picture with the median in the hidden parts."""
        values = self.values.copy()
        values[of_pixels(hidden, values.shape)] = self.fill
        return Media(self.media.modality, data=values, options=self.media.options)

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the numbers as grey, from their 1st to their 99th percentile, with the heat over them."""
        low, high = np.nanpercentile(np.where(np.isfinite(self.values), self.values, np.nan).astype(float), (1, 99))
        grey = np.nan_to_num((self.values - low) / max(high - low, 1e-9)).clip(0, 1)
        draw_picture(canvas, np.rint(255 * grey).astype(np.uint8), self.axes, heat, limit)


def square_grid(most: int) -> tuple[Axis, Axis]:
    """Return rows and columns of the largest square grid of at most `most` cells."""
    side = max(1, math.isqrt(most))
    return evenly("row", 0.0, 1.0, side), evenly("column", 0.0, 1.0, side)


def of_pixels(hidden: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return for each pixel of a picture of `size` (height, width) whether its part of a regular grid is hidden."""
    rows, columns = (
        np.minimum(np.arange(length) * count // length, count - 1)
        for length, count in zip(size, hidden.shape, strict=True)
    )
    return hidden[rows[:, None], columns[None]]


def draw_picture(canvas: Any, pixels: np.ndarray, axes: tuple[Axis, ...], heat: np.ndarray, limit: float) -> None:
    """Draw pixels [H, W] or [H, W, 3] with the heat [rows, columns] over them."""
    height, width = pixels.shape[:2]
    canvas.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), aspect="equal")
    rows, columns = axes
    lay_over(
        canvas, tuple(edge * width for edge in columns.edges), tuple(edge * height for edge in rows.edges), heat, limit
    )
    canvas.set_xlim(0, width)
    canvas.set_ylim(height, 0)
    plain(canvas)
