"""The deletion test: how fast the likelihood of an answer falls when parts are hidden in the order of a map.

Petsiuk et al. 2018 (RISE, arXiv 1806.07421, section 4.2): a map that knows what matters hides that first, so that the
likelihood falls at once. Here with log-likelihoods, since the probability of a sentence is near zero from the start.
Shapes: K steps.
"""

from collections.abc import Sequence

import numpy as np


def deletion_masks(order: Sequence[int], shape: Sequence[int], num_steps: int) -> list[np.ndarray]:
    """Return what is hidden at each step: bool arrays of `shape`, the first `k / num_steps` of the parts in `order`.

    Args:
        order: every part once, as an index into the flattened parts, the one that is hidden first at the beginning.
        shape: of the parts.
        num_steps: K; the last one hides all.
    """
    masks = []
    for step in range(1, num_steps + 1):
        hidden = np.zeros(len(order), dtype=bool)
        hidden[list(order[: round(step * len(order) / num_steps)])] = True
        masks.append(hidden.reshape(*shape))
    return masks


def order_of(heat: np.ndarray, seed: int) -> list[int]:
    """Return the parts of a map, the largest value first; equal ones in a random order."""
    tie_breaker = np.random.default_rng(seed).permutation(heat.size)
    return np.lexsort((tie_breaker, -heat.ravel())).tolist()


def deletion_area(curve: Sequence[float]) -> float:
    """Return the mean drop along a deletion curve, the area between it and its beginning (trapezoids).

    Args:
        curve: the log-likelihood with nothing hidden, then at each step: [1 + K].
    """
    drops = curve[0] - np.asarray(curve, dtype=np.float64)
    return float(np.trapezoid(drops, dx=1 / (len(drops) - 1)))
