"""The contract of the parts of a medium: what is hidden to see whether an answer needs it, and what a map is drawn on.

A medium is cut along its axes into a grid of parts, so that its maps are arrays of that shape:

    kind of medium      axes
    picture, plane      row, column (shares of the height and width, from the top left)
    sound               time (s), frequency (Hz)
    video               frame (numbers of the frames that the encoder takes), row, column
    cloud               x, y, z (in the coordinates of the file)
    series              time (s, or steps)
    features            feature (numbers)
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from omni.media.item import Media


@dataclass(frozen=True)
class Axis:
    """One direction in which a medium is cut: into the parts between neighbouring `edges`, which rise."""

    name: str
    edges: tuple[float, ...]
    unit: str = ""

    @property
    def size(self) -> int:
        """Return the number of parts along it."""
        return len(self.edges) - 1


@runtime_checkable
class MediaParts(Protocol):
    """A medium that is cut into parts; `omni.media.parts` has one class for each kind of medium."""

    axes: tuple[Axis, ...]

    @property
    def aspect(self) -> float:
        """The height of a drawing as a multiple of its width."""
        ...

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the medium without the parts at which `hidden`, bool of the parts' shape, is True.

        What stands in their place says nothing: the mean colour, silence, the mean of a curve, no points.
        """
        ...

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the medium with a value for each part on axes of matplotlib.

        Args:
            canvas: `matplotlib.axes.Axes`.
            heat: of the parts' shape; positive parts speak for the word, negative ones against it.
            limit: the value that gets the strongest colour.
        """
        ...


def in_spans(name: str, length: int, count: int, rate: float = 1.0, unit: str = "") -> Axis:
    """Return an axis of `length` steps, `rate` of them in a unit, in at most `count` spans of whole steps."""
    edges = np.linspace(0, length, min(count, length) + 1).round() / rate
    return Axis(name, tuple(edges.tolist()), unit)


def evenly(name: str, start: float, end: float, count: int, unit: str = "") -> Axis:
    """Return an axis that is cut into `count` equal parts from `start` to `end`."""
    return Axis(name, tuple(np.linspace(start, end, count + 1).tolist()), unit)
