"""Rank correlation of two maps of the same parts."""

import numpy as np

ALIKE = 5e-3  # of the largest value: a map that varies by less is the same everywhere, but for rounding


def is_even(values: np.ndarray) -> bool:
    """Return whether all values are alike, but for rounding."""
    return bool(np.ptp(values) <= ALIKE * np.abs(values).max(initial=0.0)) if values.size else True


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of two arrays of one shape, ties by their mean rank (Spearman 1904).

    NaN where it is not defined: fewer than two parts, or all values of an array alike.
    """
    if is_even(first) or is_even(second):
        return float("nan")
    one, other = (_ranks(values.ravel()) for values in (first, second))
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values at their mean; values that differ by rounding alone are equal."""
    rounded = np.round(values / np.abs(values).max(), 6)
    _, inverse, counts = np.unique(rounded, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse.ravel()]
