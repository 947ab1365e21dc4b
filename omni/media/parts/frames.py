"""Parts of a video: its frames, of which hidden ones get the mean colour of the video."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from omni.media.frames import load_frames
from omni.media.item import Media
from omni.media.parts.contract import in_spans
from omni.media.parts.drawing import lay_over, plain
from omni.media.parts.picture import of_pixels, square_grid

USUAL_FRAMES = 16  # of a video of which it is not known which frames the encoder takes
_HEIGHT = 96  # pixels of a frame in a drawing


class FrameParts:
    """Frames, each in a square grid where `most` allows it.

    Args:
        modality: name of the modality.
        frames: those that the encoder takes.
        most: the most parts; of more frames than this, neighbouring ones make a part together.
        rate: frames per second, for an encoder that looks at times.
    """

    def __init__(self, modality: str, frames: Sequence[Image.Image], most: int, rate: float | None = None) -> None:
        self.modality, self.frames, self.rate = modality, [frame.convert("RGB") for frame in frames], rate
        frame = in_spans("frame", len(frames), most)
        self.axes = (frame, *square_grid(max(1, most // frame.size)))

    @classmethod
    def of_media(cls, media: Media, most: int) -> "FrameParts":
        """Cut a video of which it is not known which frames the encoder takes: frames that are evenly spread."""
        found = load_frames(media, USUAL_FRAMES)
        step = float(np.median(np.diff(found.times))) if len(found.times) > 1 else 0.1
        return cls(media.modality, found.images, most, 1 / max(step, 1e-3))

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the video with the mean colour in the hidden parts."""
        colour = np.rint(np.mean([np.asarray(frame).mean(axis=(0, 1)) for frame in self.frames], axis=0))
        frames = []
        for index, frame in enumerate(self.frames):
            part = hidden[int(np.searchsorted(self.axes[0].edges, index, side="right")) - 1]
            pixels = np.array(frame)
            pixels[of_pixels(part, pixels.shape[:2])] = colour
            frames.append(Image.fromarray(pixels))
        options = {} if self.rate is None else {"frames_per_second": self.rate}
        return Media(self.modality, data=tuple(frames), options=options)

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the frames as a strip, at most eight in a row, with the heat over them."""
        first = self.frames[0]
        width = max(1, round(first.width * _HEIGHT / first.height))
        per_row = min(8, len(self.frames))
        num_rows = math.ceil(len(self.frames) / per_row)
        strip = Image.new("RGB", (per_row * width, num_rows * _HEIGHT), "white")
        places = []
        for index, frame in enumerate(self.frames):
            place = (index % per_row * width, index // per_row * _HEIGHT)
            strip.paste(frame.resize((width, _HEIGHT)), place)
            places.append(place)
        canvas.imshow(np.asarray(strip), extent=(0, strip.width, strip.height, 0), aspect="equal")
        for index, (left, top) in enumerate(places):
            part = int(np.searchsorted(self.axes[0].edges, index, side="right")) - 1
            rows = tuple(top + edge * _HEIGHT for edge in self.axes[1].edges)
            lay_over(canvas, tuple(left + edge * width for edge in self.axes[2].edges), rows, heat[part], limit)
        canvas.set_xlim(0, strip.width)
        canvas.set_ylim(strip.height, 0)
        plain(canvas)
