"""The kinds of previews. Each gives a still picture too, for paper and thumbnails.

T: time steps, C: channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from omni.previews.drawing import draw_curves, draw_strip, draw_words


@dataclass(frozen=True)
class Picture:
    """A still picture in RGB, with a few words about it."""

    image: Image.Image
    caption: str = ""

    @property
    def still(self) -> "Picture":
        """The picture itself."""
        return self


@dataclass(frozen=True, eq=False)
class Curves:
    """Measurements over time: `values` float32 `[T, C]`, a name for each channel, and the whole length in seconds.

    `seconds` is None where the rate is not known; the axis then counts samples. Channels whose names begin with the
    same word and a space are drawn in one panel.

    Raises:
        ValueError: `values` is not `[T, C]` with T and C of at least 1, or there is not one name a channel.
    """

    values: np.ndarray
    names: Sequence[str]
    seconds: float | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ValueError(f"curves are values [T, C] with T and C >= 1, got {list(self.values.shape)}")
        if len(self.names) != self.values.shape[1]:
            raise ValueError(f"curves of {self.values.shape[1]} channels need as many names, got {list(self.names)}")

    @cached_property
    def still(self) -> Picture:
        """The drawn curves."""
        return Picture(draw_curves(self.values, self.names, self.seconds), self.caption)


@dataclass(frozen=True)
class Player:
    """A sound: a WAV file as bytes, its length in seconds, and its waveform above its spectrogram."""

    wav: bytes
    seconds: float
    waveform: Picture

    @property
    def caption(self) -> str:
        """A few words about it."""
        return self.waveform.caption

    @property
    def still(self) -> Picture:
        """The waveform."""
        return self.waveform


@dataclass(frozen=True)
class Film:
    """A video: a file that browsers play (its path or bytes; None where the source is another), its length, frames
    in order, and its sound where it has one."""

    mp4: str | bytes | None
    seconds: float
    frames: Sequence[Picture]
    sound: Player | None = None
    caption: str = ""

    @cached_property
    def still(self) -> Picture:
        """The frames side by side."""
        return Picture(draw_strip([frame.image for frame in self.frames]), self.caption)


@dataclass(frozen=True)
class Shape:
    """A 3D object: a binary glTF file as bytes, and a picture of it."""

    glb: bytes
    picture: Picture

    @property
    def caption(self) -> str:
        """A few words about it."""
        return self.picture.caption

    @property
    def still(self) -> Picture:
        """The picture."""
        return self.picture


@dataclass(frozen=True)
class Words:
    """What can only be told: a text, or what is known of an item that cannot be drawn."""

    text: str

    @property
    def caption(self) -> str:
        """Nothing: the text says it."""
        return ""

    @cached_property
    def still(self) -> Picture:
        """The text, written."""
        return Picture(draw_words(self.text))


Preview = Picture | Curves | Player | Film | Shape | Words
