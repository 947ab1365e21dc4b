"""The ridge regression is that of the normal equations, and cross-validation never parts a cluster."""

import numpy as np
import pytest

from eval.run.baselines.ridge import STRENGTHS, _fits, clustered_folds, cosine, fit_ridge


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])  # kernel and covariance
def test_every_strength_solves_the_normal_equations(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    features, targets = generator.normal(size=shape) + 3, generator.normal(size=(shape[0], 4)) + 1
    x, y = features - features.mean(0), targets - targets.mean(0)
    unit = np.trace(x @ x.T) / len(x)
    for strength, found in zip(STRENGTHS, _fits(features, targets), strict=True):
        expected = np.linalg.solve(x.T @ x + strength * unit * np.eye(shape[1]), x.T @ y)
        np.testing.assert_allclose(found.weights, expected, atol=1e-10)
        np.testing.assert_allclose(found.centred(features[:2]), x[:2] @ expected, atol=1e-9)


def test_the_strength_is_the_one_that_predicts_held_out_clusters_best() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(200, 6))
    clean = features @ generator.normal(size=(6, 5))
    assert fit_ridge(features, clean, range(200), seed=0).strength == min(STRENGTHS)
    # one direction that says something, and more that say nothing than there are items: these have to be shrunk
    wide = generator.normal(size=(60, 80))
    wide[:, 0] *= 6
    noisy = wide[:, :1] @ generator.normal(size=(1, 5)) + 5 * generator.normal(size=(60, 5))
    assert fit_ridge(wide, noisy, range(60), seed=0).strength > min(STRENGTHS)


def test_folds_are_of_about_equal_size_and_keep_clusters_whole() -> None:
    clusters = [index // 3 for index in range(60)] + [99] * 10
    folds = clustered_folds(clusters, 5, seed=3)
    assert {len({*folds[[i for i, c in enumerate(clusters) if c == cluster]]}) for cluster in set(clusters)} == {1}
    assert max(np.bincount(folds)) - min(np.bincount(folds)) <= 3
    assert (clustered_folds([0, 1], 5, seed=0) != clustered_folds([0, 1], 5, seed=0)[0]).sum() == 1


def test_copies_of_an_item_in_one_cluster_do_not_choose_the_strength() -> None:
    """With each item there four times, folds that part the copies take noise for knowledge, and shrink too little."""
    generator = np.random.default_rng(2)
    features, targets = generator.normal(size=(25, 40)), generator.normal(size=(25, 6))
    features[:, 0] *= 3
    targets[:, 0] += features[:, 0]
    whole = fit_ridge(np.repeat(features, 4, 0), np.repeat(targets, 4, 0), np.repeat(range(25), 4).tolist(), seed=0)
    parted = fit_ridge(np.repeat(features, 4, 0), np.repeat(targets, 4, 0), range(100), seed=0)
    assert parted.strength < whole.strength


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two clusters"):
        fit_ridge(np.eye(3), np.eye(3), [0, 0, 0], seed=0)
    with pytest.raises(ValueError, match="same features"):
        fit_ridge(np.ones((4, 3)), np.eye(4), range(4), seed=0)


def test_cosine_of_nothing_is_zero() -> None:
    assert cosine(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [6.0, 8.0]])).tolist() == [0.0, 1.0]
