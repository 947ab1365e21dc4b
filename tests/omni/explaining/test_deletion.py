"""The deletion test tells a map that knows what matters from one that does not."""

import numpy as np
import pytest

from omni.explaining.deletion import deletion_area, deletion_masks, order_of


def area(order: list[int], worth: np.ndarray, num_steps: int = 4) -> float:
    """The area of a likelihood that falls by the worth of each part that is hidden."""
    masks = deletion_masks(order, worth.shape, num_steps)
    return deletion_area([0.0, *(-float(worth[mask].sum()) for mask in masks)])


def test_masks_hide_more_and_more_in_the_order_until_all_is_hidden() -> None:
    masks = deletion_masks([3, 0, 2, 1, 5, 4], (2, 3), 3)
    assert [mask.ravel().nonzero()[0].tolist() for mask in masks] == [[0, 3], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert masks[0].shape == (2, 3)


def test_the_area_of_a_straight_fall_is_half_of_it() -> None:
    assert deletion_area([-1.0, -2.0, -3.0]) == pytest.approx(1.0)
    assert deletion_area([-1.0, -1.0, -3.0]) == pytest.approx(0.5)


def test_no_order_beats_that_of_the_worth_itself() -> None:
    generator = np.random.default_rng(0)
    worth = generator.exponential(size=(4, 4))
    best, worst = area(order_of(worth, 0), worth), area(order_of(-worth, 0), worth)
    for _ in range(20):
        assert worst <= area(generator.permutation(16).tolist(), worth) <= best
    assert worst < best


def test_equal_parts_are_hidden_in_a_random_order() -> None:
    heat = np.array([0.0, 2.0, 0.0, 0.0, 1.0])
    orders = [order_of(heat, seed) for seed in range(10)]
    assert {tuple(order[:2]) for order in orders} == {(1, 4)}
    assert len({tuple(order) for order in orders}) > 2
