"""P-values of paired differences, and their correction where several are tested at once."""

import math
from collections.abc import Hashable, Sequence

from scipy import stats

from eval.statistics.intervals import clustered_standard_error


def paired_p_value(
    left: Sequence[float], right: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> float | None:
    """Return the two-sided p-value of a mean difference of 0 over the same items (t, cluster-robust).

    It belongs to the interval of `eval.statistics.intervals.paired_difference`. Where all items differ by the same
    amount there is no spread to compare with; then it is the share of the signs that clusters could have which are as
    one-sided, 2 ** (1 - clusters). None with fewer than two clusters.
    """
    differences = [float(a) - float(b) for a, b in zip(left, right, strict=True)]
    groups = list(range(len(differences))) if clusters is None else list(clusters)
    number = len(set(groups))
    if number < 2:
        return None
    mean = sum(differences) / len(differences)
    error = clustered_standard_error(differences, groups)
    if error < 1e-12:
        return 1.0 if abs(mean) < 1e-12 else min(1.0, math.exp2(1 - number))
    return float(2 * stats.t.sf(abs(mean) / error, number - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for being tested together (Holm 1979, Scand. J. Statist. 6:65-70).

    A difference whose corrected value is below a level is significant at it, with at most this chance of a single
    mistake among all of them.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
