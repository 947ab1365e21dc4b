"""Figures of retrieval: ranks of right targets, and nDCG. A tie counts against a right target.

Shapes: B queries, T targets. Recall at k (R@k) of a query is whether its rank is at most k, and its reciprocal rank is
1 over the rank; both are of the first right target.
"""

import numpy as np
from scipy.stats import hypergeom


def first_right_ranks(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the rank (from 1) of the best right target of each query: [B, T] x 2 -> [B]."""
    best = np.where(right, scores, -np.inf).max(1, keepdims=True)
    return ((scores >= best) & ~right).sum(1) + 1.0


def recall_at(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return whether each query has a right target among its first k, as 1 or 0: [B] -> [B]."""
    return (ranks <= k).astype(float)


def reciprocal_ranks(ranks: np.ndarray) -> np.ndarray:
    """Return 1 over each rank; their mean is the mean reciprocal rank (MRR): [B] -> [B]."""
    return 1 / ranks


def median_rank(ranks: np.ndarray) -> float:
    """Return the median of the ranks (MedR); of an even number of queries, the mean of the two in the middle."""
    return float(np.median(ranks))


def ndcg(scores: np.ndarray, right: np.ndarray, k: int = 10) -> np.ndarray:
    """Return nDCG at k of each query, a right target being worth 1: [B, T] x 2 -> [B].

    Järvelin and Kekäläinen 2002, with the discount 1 / log2(1 + rank) that retrieval benchmarks use: the gain of the
    first k over the most that they could have. 0 for a query without a right target.
    """
    order = np.lexsort((right, -scores))[:, :k]
    gain = np.take_along_axis(right, order, 1) @ _discounts(order.shape[1])
    return _share(gain, _most(right, k))


def chance_ndcg(right: np.ndarray, k: int = 10) -> np.ndarray:
    """Return the mean nDCG at k over all orders of the targets, for each query: [B, T] -> [B]."""
    return _share(right.mean(1) * _discounts(min(k, right.shape[1])).sum(), _most(right, k))


def chance_recall(num_right: np.ndarray, number: int, k: int) -> np.ndarray:
    """Return the chance that one of the right targets is among k drawn of `number`: how many are right [B] -> [B]."""
    return 1 - hypergeom.pmf(0, number, num_right, min(k, number))


def _discounts(number: int) -> np.ndarray:
    return 1 / np.log2(np.arange(number) + 2)


def _most(right: np.ndarray, k: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(_discounts(k))])
    return sums[np.minimum(right.sum(1), k)]


def _share(gain: np.ndarray, most: np.ndarray) -> np.ndarray:
    return np.divide(gain, most, out=np.zeros_like(most), where=most > 0)
