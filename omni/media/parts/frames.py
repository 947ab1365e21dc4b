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
_PER_ROW = 4


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
        step = float(np.diff(found.times).mean()) if len(found.times) > 1 else 0.1
        return cls(media.modality, found.images, most, 1 / max(step, 1e-3))

    @property
    def aspect(self) -> float:
        """The height of the strip as a multiple of its width."""
        width, height, _ = self._strip
        return height / width

    @property
    def _strip(self) -> tuple[int, int, int]:
        """Width and height of the strip, and the width of a frame, in pixels."""
        first = self.frames[0]
        width = max(1, round(first.width * _HEIGHT / first.height))
        per_row = min(_PER_ROW, len(self.frames))
        return per_row * width, math.ceil(len(self.frames) / per_row) * _HEIGHT, width

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
        """Draw the frames as a strip, a few in a row, with the heat over them."""
        *size, width = self._strip
        strip = Image.new("RGB", (size[0], size[1]), "white")
        places = []
        for index, frame in enumerate(self.frames):
            place = (index % _PER_ROW * width, index // _PER_ROW * _HEIGHT)
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
