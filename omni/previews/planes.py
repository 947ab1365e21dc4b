"""Previews of pictures: as the encoders see them, and in false colours where a pixel is a distance or a temperature."""

import numpy as np

from omni.media.depth import load_depth, load_disparity
from omni.media.image import load_image
from omni.media.item import Media
from omni.media.thermal import load_celsius, load_thermal
from omni.previews.drawing import draw_false_colour
from omni.previews.kinds import Picture

MOST_PIXELS = 1280  # of the longer side: what is shown need not be larger


def preview_image(media: Media) -> Picture:
    """Return a picture upright, in sRGB and on white, as encoders see it."""
    image = load_image(media)
    caption = f"{image.width} x {image.height} pixels"
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return Picture(image, caption)


def preview_depth(media: Media) -> Picture:
    """Return distances in false colours, near is bright, with their scale in metres; unknown ones are grey."""
    if media.options.get("encoding") == "disparity":
        disparity = load_disparity(media)
        return Picture(draw_false_colour(disparity, disparity > 0, "viridis", "disparity in pixels"), _size(disparity))
    metres = load_depth(media)
    known = metres > 0
    caption = f"{_size(metres)}, {metres[known].min():.2f} to {metres[known].max():.2f} m"
    return Picture(draw_false_colour(metres, known, "viridis_r", "metres"), caption)


def preview_thermal(media: Media) -> Picture:
    """Return a thermal picture in false colours, warm is bright, with its scale: degrees where they are known."""
    if media.options.get("scaling") == "radiometric":
        celsius = load_celsius(media)
        known = np.isfinite(celsius)
        caption = f"{_size(celsius)}, {celsius[known].min():.1f} to {celsius[known].max():.1f} °C"
        return Picture(draw_false_colour(celsius, known, "inferno", "°C"), caption)
    warmth = load_thermal(media)
    return Picture(draw_false_colour(warmth, np.ones_like(warmth, bool), "inferno", "cold to warm"), _size(warmth))


def _size(values: np.ndarray) -> str:
    return f"{values.shape[1]} x {values.shape[0]} pixels"
