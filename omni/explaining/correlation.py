"""Rank correlation of two maps of the same parts."""

import numpy as np


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of two arrays of one shape, ties by their mean rank (Spearman 1904).

    NaN where it is not defined: fewer than two parts, or all values of an array alike.
    """
    one, other = (_ranks(values.ravel()) for values in (first, second))
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values at their mean; values that differ by rounding alone are equal."""
    scale = float(np.abs(values).max(initial=0.0))
    rounded = np.round(values / scale, 6) if scale > 0 else np.zeros_like(values, dtype=float)
    _, inverse, counts = np.unique(rounded, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse.ravel()]
