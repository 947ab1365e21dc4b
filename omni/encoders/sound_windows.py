"""Cut a sound of any length into windows of one length.

Shapes: T samples, C windows.
"""

from collections.abc import Sequence

import numpy as np


def spread_windows(samples: np.ndarray, length: int, most: int, shortest_tail: int = 1) -> list[np.ndarray]:
    """Consecutive windows of `length` samples; of more than `most`, evenly spread ones with the first and the last.

    The last may be shorter; a tail of less than `shortest_tail` samples is left out, unless it is all there is.
    """
    count = max(1, -(-(len(samples) - shortest_tail + 1) // length))
    return [samples[i * length : (i + 1) * length] for i in spread_indices(count, most)]


def overlapping_windows(samples: np.ndarray, length: int, most: int) -> tuple[np.ndarray, Sequence[int]]:
    """Like `spread_windows`, but the last window begins earlier instead of being short, so nothing is padded.

    Returns the windows [C, min(T, length)], and for each how many of its first samples the one before holds already.
    """
    if len(samples) <= length:
        return samples[None], [0]
    count = -(-len(samples) // length)
    starts = [min(i * length, len(samples) - length) for i in spread_indices(count, most)]
    repeated = [i * length - start for i, start in zip(spread_indices(count, most), starts, strict=True)]
    return np.stack([samples[start : start + length] for start in starts]), repeated


def spread_indices(count: int, most: int) -> list[int]:
    """All of 0 .. count - 1 in order, or `most` of them evenly spread."""
    if count <= most:
        return list(range(count))
    return np.linspace(0, count - 1, most).round().astype(int).tolist()
