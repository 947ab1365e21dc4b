"""Figures of classification: confusion matrix, macro-F1, top-k, calibration, AUROC and average precision.

Shapes: N items, C classes. Scores are any numbers that rise with belief. Ties are never broken by the order of the
classes: k classes that share the first place have 1/k of it each. A class with nothing to measure is left out of means.
"""

import numpy as np
from scipy import stats


def first_places(scores: np.ndarray) -> np.ndarray:
    """Return the share that each class has of the first place: [N, C] -> [N, C], rows sum to 1."""
    best = np.isclose(scores, scores.max(1, keepdims=True), rtol=0, atol=1e-9)
    return best / best.sum(1, keepdims=True)


def confusion_matrix(first: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return how often each right class (row) was taken for each class (column): [N, C] and [N] -> [C, C].

    Args:
        first: shares of the first place, as of `first_places`; one-hot where nothing ties.
        right: the right class of each item.
    """
    number = first.shape[1]
    return (np.arange(number)[:, None] == right[None]).astype(float) @ first


def macro_f1(confusion: np.ndarray) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN), from a confusion matrix.

    A class that is neither right nor said anywhere is left out, as scikit-learn leaves it out.
    """
    counts = confusion.sum(0) + confusion.sum(1)
    occur = counts > 0
    return float(np.mean(2 * np.diag(confusion)[occur] / counts[occur]))


def top_k(scores: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """Return for each item the chance that its class is among the best k, ties broken at random: [N, C] -> [N]."""
    own = scores[np.arange(len(right)), right][:, None]
    ties = np.isclose(scores, own, rtol=0, atol=1e-9)
    better = ((scores > own) & ~ties).sum(1)
    return np.clip((k - better) / ties.sum(1), 0.0, 1.0)


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, num_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy, over bins of equal width weighted by their items.

    Guo et al. 2017 (arXiv:1706.04599), equation 3: the bins are ((m - 1) / M, m / M], with M = 15 as there.

    Args:
        confidence: [N], the probability of what was said, in [0, 1].
        correct: [N], 1 if it is right, else 0.
        num_bins: M.
    """
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a positive item scores above a negative one, a tie being half.

    The Mann-Whitney statistic (Hanley and McNeil 1982). NaN where there is no positive or no negative item.
    """
    num_positive = int(np.count_nonzero(positive))
    num_negative = len(positive) - num_positive
    if not num_positive or not num_negative:
        return float("nan")
    ranks = stats.rankdata(scores)[positive].sum()
    return float((ranks - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean of the precision at each positive item, best first; items that tie are taken together.

    The step-wise area under the curve of precision and recall, without interpolation, as in scikit-learn. NaN where
    there is no positive item.
    """
    num_positive = int(np.count_nonzero(positive))
    if not num_positive:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (ends + 1)) / num_positive)


def macro_auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean over classes of `auroc`, each against the rest: [N, C] x 2; NaN where no class has one."""
    return _mean([auroc(scores[:, one], positive[:, one]) for one in range(scores.shape[1])])


def mean_average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean over classes of `average_precision`: [N, C] x 2; NaN where no class has a positive item.

    Any number of classes may be right for an item, as in AudioSet or COCO.
    """
    return _mean([average_precision(scores[:, one], positive[:, one]) for one in range(scores.shape[1])])


def label_ranking_precision(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return for each item the sum, over its right labels, of the precision down to that label: [N, C] x 2 -> [N].

    Its sum over items divided by the number of all right labels is lwlrap, the label-weighted label-ranking average
    precision of DCASE 2019 (Fonseca et al. 2019, arXiv:1906.02975, section 4). A label that ties with others stands
    behind them, as in scikit-learn.
    """
    sums = np.zeros(len(scores))
    for row, (own, right) in enumerate(zip(scores, positive, strict=True)):
        ranks = stats.rankdata(-own, "max")[right]
        sums[row] = np.sum(stats.rankdata(-own[right], "max") / ranks)
    return sums


def d_prime(area: float) -> float:
    """Return sqrt(2) times the normal quantile of an area under the ROC curve, as AudioSet's figures have it.

    Gemmeke et al. 2017, section 4. The area is kept 1e-12 away from 0 and 1, where it would be infinite.
    """
    return float(np.sqrt(2) * stats.norm.ppf(np.clip(area, 1e-12, 1 - 1e-12)))


def _mean(values: list[float]) -> float:
    found = [value for value in values if not np.isnan(value)]
    return float(np.mean(found)) if found else float("nan")
