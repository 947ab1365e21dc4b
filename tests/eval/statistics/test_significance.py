"""P-values agree with SciPy where items are independent, and with Holm's own steps."""

import numpy as np
import pytest
from scipy import stats

from eval.statistics.intervals import paired_difference
from eval.statistics.significance import holm, paired_p_value


def test_the_p_value_of_independent_items_is_that_of_the_paired_t_test() -> None:
    left, right = np.random.default_rng(0).normal([[0.4], [0.0]], size=(2, 30))
    assert paired_p_value(left, right) == pytest.approx(stats.ttest_rel(left, right).pvalue)


@pytest.mark.parametrize("shift", [0.2, 0.5, 0.9])
def test_a_p_value_below_five_percent_is_an_interval_without_zero(shift: float) -> None:
    generator = np.random.default_rng(1)
    left = generator.normal(size=40) + shift
    clusters = generator.integers(0, 12, 40).tolist()
    estimate = paired_difference(left, np.zeros(40), clusters)
    p_value = paired_p_value(left, np.zeros(40), clusters)
    assert p_value is not None
    assert (p_value < 0.05) == (estimate.low > 0 or estimate.high < 0)


def test_without_spread_it_is_the_share_of_signs() -> None:
    assert paired_p_value([1.0] * 5, [0.0] * 5) == 2**-4
    assert paired_p_value([1.0] * 5, [1.0] * 5) == 1.0
    assert paired_p_value([1.0, 1.0], [0.0, 0.0], ["same", "same"]) is None


def test_holm_multiplies_by_those_that_are_left_and_never_falls() -> None:
    # Holm's steps by hand: 4 * .01, 3 * .02, 2 * .03 (which is no more than the step before), 1 * .9
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
