"""Ranks of right targets and nDCG: by hand, with ties and without right targets, and by scikit-learn."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from eval.metrics.ranking import chance_ndcg, first_right_ranks, ndcg


def test_rank_is_that_of_the_best_right_target_and_ties_count_against_it() -> None:
    scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.3, 0.2], [0.7, 0.1, 0.6]])
    right = np.array([[True, False, False], [False, True, False], [True, False, True]])
    assert first_right_ranks(scores, right).tolist() == [3, 2, 1]


def test_ndcg_by_hand_where_ties_count_against_the_right_target() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    right = np.array([[True, False, True], [True, False, False], [True, False, False], [False, False, False]])
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    assert ndcg(scores, right).tolist() == pytest.approx([(1 + third) / (1 + second), second, third, 0])
    assert ndcg(scores, right, k=1).tolist() == [1, 0, 0, 0]


def test_ndcg_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(1000):
        number = generator.integers(2, 15)
        scores, right = generator.random((1, number)), generator.random((1, number)) < 0.4
        k = int(generator.integers(1, 12))
        assert ndcg(scores, right, k)[0] == pytest.approx(ndcg_score(right, scores, k=k))


def test_chance_is_the_mean_over_all_orders() -> None:
    right = np.array([[True, False, True, False]])
    orders = np.array(list(itertools.permutations(range(4))))
    for k in (1, 2, 10):
        every = ndcg(orders.astype(float), np.repeat(right, len(orders), 0), k)
        assert chance_ndcg(right, k)[0] == pytest.approx(every.mean())
    assert chance_ndcg(right & False).tolist() == [0]
