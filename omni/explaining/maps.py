"""From weights of an encoder's features to a map of a medium's parts.

Shapes: W words, F features of an item (those of all clips that are real), A axes of the medium, K parts along one axis.
"""

from collections.abc import Sequence

import numpy as np

from omni.media.parts.contract import Axis


def on_parts(weights: np.ndarray, regions: np.ndarray, axes: Sequence[Axis]) -> np.ndarray | None:
    """Share the weight [W, F] of each feature among the parts that its region [F, A, 2] overlaps: [W, *parts].

    A region that is infinite along an axis covers all of it, and one without extent (a point) lies in one part. What
    lies outside of the medium, such as patches of padding, is dropped. None = the regions are of another medium.
    """
    if regions.shape[1] != len(axes):
        if not np.isinf(regions).all():
            return None
        regions = np.broadcast_to(regions[:, :1], (len(regions), len(axes), 2))
    found = weights
    shares = [_overlap(regions[:, index], axis) for index, axis in enumerate(axes)]  # [F, K] each
    letters = "abcdefgh"[: len(axes)]
    inputs = ",".join(f"f{letter}" for letter in letters)
    return np.einsum(f"wf,{inputs}->w{letters}", found, *shares)


def _overlap(regions: np.ndarray, axis: Axis) -> np.ndarray:
    """The share of each region [F, 2] that lies in each part of an axis: [F, K]."""
    edges = np.asarray(axis.edges, dtype=np.float64)
    start, end = (regions[:, i].astype(np.float64) for i in (0, 1))
    start, end = (np.where(np.isinf(one), edges[i], one) for one, i in ((start, 0), (end, -1)))
    common = np.minimum(end[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    extent = end - start
    spread = np.clip(common, 0, None) / np.where(extent > 0, extent, 1)[:, None]
    place = np.searchsorted(edges, start, side="right") - 1
    place = np.where(start == edges[-1], axis.size - 1, place)
    points = np.arange(axis.size)[None] == place[:, None]
    return np.where((extent > 0)[:, None], spread, points.astype(np.float64))
