"""95 % intervals: Wilson for proportions, closed form for means, bootstrap for corpus metrics; all with clusters.

Items that share a media file or a caption are not independent. Their cluster-robust standard error follows Miller 2024
(arXiv:2411.00640, section 3): with residuals r of the mean over n items, SE = sqrt(sum over clusters (sum r)^2) / n.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, the number of items behind it and the method of the interval."""

    value: float
    low: float
    high: float
    num_items: int
    method: str


def wilson(successes: float, total: float) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927), 95 %.

    `total` may be an effective number of items (not whole) where items are clustered.

    Raises:
        ValueError: `total` is not positive or `successes` lies outside [0, total].
    """
    if total <= 0 or not -1e-9 <= successes <= total + 1e-9:
        raise ValueError(f"wilson needs 0 <= successes <= total and total > 0; got {successes} of {total}")
    share = min(max(successes / total, 0.0), 1.0)
    denominator = 1 + Z_95**2 / total
    centre = (share + Z_95**2 / (2 * total)) / denominator
    half = Z_95 * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2)) / denominator
    # At 0 and 1 the bound is exact in theory; clip what rounding leaves.
    return (0.0 if share == 0 else max(0.0, centre - half)), (1.0 if share == 1 else min(1.0, centre + half))


def clustered_standard_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Return the standard error of the mean, robust to dependence inside clusters (small-sample factor G / (G - 1)).

    With every item in a cluster of its own this is the usual s / sqrt(n). Infinite with fewer than two clusters.
    """
    residuals = np.asarray(values, dtype=float)
    residuals = residuals - residuals.mean()
    sums: dict[Hashable, float] = {}
    for residual, cluster in zip(residuals, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + float(residual)
    if len(sums) < 2:
        return math.inf
    correction = len(sums) / (len(sums) - 1)
    return math.sqrt(correction * sum(total**2 for total in sums.values())) / len(residuals)


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the mean of per-item values with its 95 % interval.

    Values that are all 0 or 1 get a Wilson interval; with clusters its number of items is divided by the design effect
    (clustered variance / independent variance, at least 1). Other values get mean +/- t * SE with clusters - 1 degrees
    of freedom, clipped to `bounds`.

    Raises:
        ValueError: there are no values.
    """
    if len(values) == 0:
        raise ValueError("mean_interval needs at least one value; got none")
    number = len(values)
    groups = list(range(number)) if clusters is None else list(clusters)
    num_clusters = len(set(groups))
    clustered = num_clusters < number
    mean = float(np.mean(values))
    if set(values) <= {0, 1}:
        effective = number / design_effect(values, groups) if clustered else float(number)
        low, high = wilson(mean * effective, effective)
        return Estimate(mean, low, high, number, "wilson-clustered" if clustered else "wilson")
    error = clustered_standard_error(values, groups)
    half = math.inf if math.isinf(error) else float(stats.t.ppf(0.975, num_clusters - 1)) * error
    low, high = max(bounds[0], mean - half), min(bounds[1], mean + half)
    return Estimate(mean, low, high, number, "t-clustered" if clustered else "t")


def stratified_interval(
    values: Sequence[float],
    strata: Sequence[Hashable],
    weights: Mapping[Hashable, float],
    clusters: Sequence[Hashable],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the weighted sum of the means of strata, with its 95 % interval (t, clustered).

    An item's share of the error is its distance from the mean of its own stratum, times the weight of that, over its
    number of items.

    Args:
        values: one for each item.
        strata: the stratum of each item.
        weights: of each stratum that occurs; 1 / number of strata makes the mean over them, 1 the sum.
        clusters: the cluster of each item.
        bounds: the interval is clipped to them.

    Raises:
        ValueError: there are no values.
    """
    members: dict[Hashable, list[float]] = {}
    for value, stratum in zip(values, strata, strict=True):
        members.setdefault(stratum, []).append(value)
    means = {stratum: float(np.mean(own)) for stratum, own in members.items()}
    total = sum(weights[stratum] * mean for stratum, mean in means.items())
    scale = {stratum: weights[stratum] * len(values) / len(own) for stratum, own in members.items()}
    errors = [scale[stratum] * (value - means[stratum]) for value, stratum in zip(values, strata, strict=True)]
    found = mean_interval(errors, clusters, (bounds[0] - total, bounds[1] - total))
    return Estimate(total, total + found.low, total + found.high, len(values), "t-stratified")


def design_effect(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Return by how much clusters multiply the variance of the mean; at least 1, at most the items of a cluster.

    With a constant 0 or 1 in all items the variances vanish and say nothing, so the cautious bound is taken: all
    items of a cluster count as one.
    """
    number, num_clusters = len(values), len(set(clusters))
    upper = number / num_clusters
    independent = clustered_standard_error(values, range(number))
    if num_clusters < 2 or independent == 0 or math.isinf(independent):
        return upper
    largest = max(Counter(clusters).values())
    ratio = (clustered_standard_error(values, clusters) / independent) ** 2
    return float(min(max(1.0, ratio), float(largest)))


def paired_difference(
    left: Sequence[float], right: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> Estimate:
    """Return the mean of `left - right` over the same items, with its 95 % interval (t, clustered)."""
    differences = [float(a) - float(b) for a, b in zip(left, right, strict=True)]
    groups = list(range(len(differences))) if clusters is None else list(clusters)
    mean = float(np.mean(differences))
    error = clustered_standard_error(differences, groups)
    degrees = max(1, len(set(groups)) - 1)
    half = math.inf if math.isinf(error) else float(stats.t.ppf(0.975, degrees)) * error
    return Estimate(mean, mean - half, mean + half, len(differences), "paired-t")


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    num_items: int,
    *,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
    num_resamples: int = 500,
) -> Estimate:
    """Return a corpus metric with its percentile interval.

    Args:
        statistic: from an array of item indices (with repetitions) to the metric over them; NaN where it has no value
            for them, which leaves this draw out.
        num_items: the number of items.
        seed: seed of the resampling; the same seed gives the same interval.
        clusters: the cluster of each item; whole clusters are drawn. None = every item is a cluster of its own.
        num_resamples: the number of draws.
    """
    members = _members(range(num_items) if clusters is None else clusters)
    draws = [
        statistic(np.concatenate([members[choice] for choice in choices]))
        for choices in _resamples(len(members), num_resamples, seed)
    ]
    return _percentile_estimate(statistic(np.arange(num_items)), draws, num_items)


def bootstrap_mean(
    values: Sequence[float], *, seed: int, clusters: Sequence[Hashable] | None = None, num_resamples: int = 10_000
) -> Estimate:
    """Return the mean of per-item values with its percentile interval; `bootstrap` of a mean, without a call a draw.

    Args:
        values: one for each item.
        seed: see `bootstrap`.
        clusters: see `bootstrap`.
        num_resamples: the number of draws.
    """
    array = np.asarray(values, dtype=float)
    members = _members(range(len(array)) if clusters is None else clusters)
    sums = np.array([array[indices].sum() for indices in members])
    counts = np.array([len(indices) for indices in members])
    choices = _resamples(len(members), num_resamples, seed)
    return _percentile_estimate(float(array.mean()), sums[choices].sum(1) / counts[choices].sum(1), len(array))


def _members(clusters: Sequence[Hashable]) -> list[np.ndarray]:
    """Return the indices of the items of each cluster, in the order in which the clusters first occur."""
    groups: dict[Hashable, list[int]] = {}
    for index, cluster in enumerate(clusters):
        groups.setdefault(cluster, []).append(index)
    return [np.asarray(indices) for indices in groups.values()]


def _resamples(num_clusters: int, num_resamples: int, seed: int) -> np.ndarray:
    """Return as many clusters as there are, drawn with repetition: `[num_resamples, num_clusters]`."""
    return np.random.default_rng(seed).integers(0, num_clusters, (num_resamples, num_clusters))


def _percentile_estimate(value: float, draws: Sequence[float] | np.ndarray, num_items: int) -> Estimate:
    # A draw without the items that a metric needs (no positive one, say) has no value, and says nothing of its spread.
    found = np.asarray(draws, dtype=float)
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (math.nan, math.nan)
    return Estimate(value, float(low), float(high), num_items, f"bootstrap-{len(found)}")
