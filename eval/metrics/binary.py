"""Figures of answers that are yes or no: precision, recall and F1. Yes is the positive class."""

from collections.abc import Callable

import numpy as np

Figure = Callable[[np.ndarray, np.ndarray], float]
# N answers; `said_yes` and `is_yes` are boolean arrays [N]. An answer that says neither is not yes.


def precision(said_yes: np.ndarray, is_yes: np.ndarray) -> float:
    """Return the share of yes that is right; 0 where no answer is yes, as scikit-learn has it."""
    return _ratio(np.count_nonzero(said_yes & is_yes), np.count_nonzero(said_yes))


def recall(said_yes: np.ndarray, is_yes: np.ndarray) -> float:
    """Return the share of items with a right yes that have it; 0 where there is no such item."""
    return _ratio(np.count_nonzero(said_yes & is_yes), np.count_nonzero(is_yes))


def f1(said_yes: np.ndarray, is_yes: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); 0 where there is no yes at all."""
    return _ratio(2 * np.count_nonzero(said_yes & is_yes), np.count_nonzero(said_yes) + np.count_nonzero(is_yes))


def _ratio(part: np.integer | int, whole: np.integer | int) -> float:
    return float(part / whole) if whole else 0.0
