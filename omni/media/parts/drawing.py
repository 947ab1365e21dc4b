"""What all drawings of maps share: the colours of heat, laid over a grid.

Red speaks for a word and blue against it; what counts for nothing lets the medium show through.
"""

import itertools
from typing import Any

import numpy as np

STRONGEST = 0.75  # opacity of the strongest colour
FOR, AGAINST = (0.85, 0.10, 0.10), (0.10, 0.30, 0.85)


def heat_colours(heat: np.ndarray, limit: float) -> np.ndarray:
    """Return RGBA in 0-1 for each value of `heat`, [..., 4]; values of `limit` and beyond get the strongest colour."""
    strength = np.clip(np.abs(heat) / limit, 0, 1) if limit > 0 else np.zeros(heat.shape)
    colours = np.where((heat >= 0)[..., None], FOR, AGAINST)
    return np.concatenate([colours, STRONGEST * strength[..., None]], axis=-1)


def lay_over(canvas: Any, columns: tuple[float, ...], rows: tuple[float, ...], heat: np.ndarray, limit: float) -> None:
    """Lay the colours of heat [rows, columns] over a drawing, in cells between the edges `columns` and `rows`."""
    colours = heat_colours(heat, limit)
    for row, (bottom, top) in enumerate(itertools.pairwise(rows)):
        for column, (left, right) in enumerate(itertools.pairwise(columns)):
            canvas.fill_between([left, right], bottom, top, color=colours[row, column], linewidth=0)


def plain(canvas: Any) -> None:
    """Take ticks and frame away."""
    canvas.set_xticks([])
    canvas.set_yticks([])
    for spine in canvas.spines.values():
        spine.set_visible(False)
