"""Parts of ready-made features: the features themselves, of which hidden ones get the mean of all.

Shapes: N features of width D.
"""

from typing import Any

import numpy as np

from omni.media.features import load_features
from omni.media.item import Media
from omni.media.parts.contract import in_spans
from omni.media.parts.drawing import heat_colours


class FeatureParts:
    """Features [N, D] in at most `most` spans of N. A single feature gets zeros, since it is its own mean."""

    aspect = 0.6

    def __init__(self, media: Media, most: int) -> None:
        self.modality = media.modality
        self.values = load_features(media)
        self.axes = (in_spans("feature", len(self.values), most),)

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the features with the mean of all in the hidden spans."""
        values = self.values.copy()
        fill = self.values.mean(axis=0) if len(values) > 1 else np.zeros_like(values[0])
        edges = np.round(self.axes[0].edges).astype(int)
        for start, end, is_hidden in zip(edges, edges[1:], hidden, strict=False):
            if is_hidden:
                values[start:end] = fill
        return Media(self.modality, features=values)

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the size of each feature over the spans in their colours."""
        edges = self.axes[0].edges
        for start, end, colour in zip(edges, edges[1:], heat_colours(heat, limit), strict=False):
            canvas.axvspan(start, end, color=colour, linewidth=0)
        sizes = np.linalg.norm(self.values, axis=1)
        canvas.bar(np.arange(len(sizes)) + 0.5, sizes, width=0.8, color="dimgray")
        canvas.set_xlim(0, edges[-1])
        canvas.set_xlabel("feature")
        canvas.set_ylabel("size")
