"""Intervals against published or simulated values."""

import math

import numpy as np
import pytest

from eval.statistics.intervals import (
    bootstrap,
    bootstrap_mean,
    clustered_standard_error,
    mean_interval,
    paired_difference,
    stratified_interval,
    wilson,
)


def test_wilson_equals_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263, score method.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = wilson(0, 20)
    assert (low, high) == (0.0, pytest.approx(0.1611, abs=5e-5))
    assert wilson(20, 20)[1] == 1.0


def test_wilson_covers_95_percent_of_the_time() -> None:
    generator = np.random.default_rng(0)
    draws = generator.binomial(80, 0.3, 2000)
    covered = [wilson(draw, 80)[0] <= 0.3 <= wilson(draw, 80)[1] for draw in draws]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_standard_error_without_clusters_is_the_usual_one() -> None:
    values = [0.1, 0.7, 0.4, 0.9, 0.2]
    assert clustered_standard_error(values, range(5)) == pytest.approx(np.std(values, ddof=1) / math.sqrt(5))


def test_repeating_every_item_in_its_cluster_does_not_narrow_the_interval() -> None:
    values = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    once = mean_interval(values)
    thrice = mean_interval(values * 3, list(range(8)) * 3)
    assert thrice.value == once.value
    assert thrice.low == pytest.approx(once.low, abs=1e-9)
    assert thrice.high == pytest.approx(once.high, abs=1e-9)
    assert mean_interval(values * 3).high < once.high


def test_clustered_intervals_cover_95_percent_of_the_time() -> None:
    generator = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        centres = generator.beta(2, 3, 40)
        values = [float(value) for centre in centres for value in generator.random(3) < centre]
        estimate = mean_interval(values, [cluster for cluster in range(40) for _ in range(3)])
        covered.append(estimate.low <= 0.4 <= estimate.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_interval_of_all_right_clustered_counts_each_cluster_once() -> None:
    assert mean_interval([1.0] * 6, [0, 0, 0, 1, 1, 1]).low == pytest.approx(wilson(2, 2)[0])


def test_values_between_zero_and_one_get_a_t_interval() -> None:
    estimate = mean_interval([0.25, 0.5, 0.75], bounds=(0.0, 1.0))
    # t(0.975, 2) = 4.3027, SE = 0.25 / sqrt 3: half width 0.621, cut at the bounds
    assert (estimate.low, estimate.high, estimate.method) == (0.0, 1.0, "t")
    wide = mean_interval([0.25, 0.5, 0.75])
    assert wide.high - wide.value == pytest.approx(4.30265 * 0.25 / math.sqrt(3), rel=1e-5)


def test_paired_difference_uses_the_pairing() -> None:
    left, right = [1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0]
    difference = paired_difference(left, right)
    assert (difference.value, difference.low, difference.high) == (1.0, 1.0, 1.0)


def test_bootstrap_is_seeded_and_agrees_with_the_closed_form() -> None:
    values = np.random.default_rng(2).normal(size=200)

    def mean(indices: np.ndarray) -> float:
        return float(values[indices].mean())

    first, second = bootstrap(mean, 200, seed=3), bootstrap(mean, 200, seed=3)
    assert first == second
    closed = mean_interval(values.tolist())
    assert first.low == pytest.approx(closed.low, abs=0.03)
    assert first.high == pytest.approx(closed.high, abs=0.03)


def test_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])


def test_bootstrap_of_a_mean_is_the_bootstrap_with_the_mean_as_its_metric() -> None:
    values = np.random.default_rng(4).random(30)
    clusters = [index % 7 for index in range(30)]
    slow = bootstrap(lambda indices: float(values[indices].mean()), 30, seed=5, clusters=clusters, num_resamples=200)
    fast = bootstrap_mean(values.tolist(), seed=5, clusters=clusters, num_resamples=200)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high))
    assert (fast.value, fast.num_items, fast.method) == (slow.value, slow.num_items, slow.method)


def test_a_weighted_sum_of_strata_has_the_error_of_its_strata() -> None:
    values, strata = [1.0, 2.0, 6.0, 10.0, 30.0], ["a", "a", "a", "b", "b"]
    found = stratified_interval(values, strata, {"a": 1.0, "b": 0.5}, range(5))
    assert found.value == pytest.approx(3 + 0.5 * 20)
    # residuals -2, -1, 3 over 3, and half of -10, 10 over 2; five clusters
    squares = sum((residual / 3) ** 2 for residual in (-2, -1, 3)) + sum((5 / 2) ** 2 for _ in range(2))
    assert found.high - found.value == pytest.approx(2.7764451 * math.sqrt(5 / 4 * squares))
    assert stratified_interval([3.0, 3.0], ["a", "b"], {"a": 1.0, "b": 1.0}, range(2)).low == 6
    one = stratified_interval(values, ["a"] * 5, {"a": 1.0}, range(5))
    assert (one.value, one.low) == pytest.approx((mean_interval(values).value, mean_interval(values).low))
