"""Ridge regression in closed form, with its strength chosen by cross-validation over clusters.

Shapes: N items, D feature width, E target width.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

# The strengths that are tried, in units of the mean diagonal of the kernel of the centred features.
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
NUM_FOLDS = 5


@dataclass(frozen=True)
class RidgeMap:
    """An affine map from features to targets: `(x - feature_mean) @ weights + target_mean`.

    Attributes:
        weights: `[D, E]`.
        feature_mean: `[D]`.
        target_mean: `[E]`.
        strength: of the ridge, in units of the mean diagonal of the kernel.
    """

    weights: np.ndarray
    feature_mean: np.ndarray
    target_mean: np.ndarray
    strength: float

    def centred(self, features: np.ndarray) -> np.ndarray:
        """Return the targets that are predicted for features `[N, D]`, less the mean of the training ones: `[N, E]`."""
        return (features - self.feature_mean) @ self.weights


def fit_ridge(features: np.ndarray, targets: np.ndarray, clusters: Sequence[Hashable], *, seed: int) -> RidgeMap:
    """Fit targets `[N, E]` to features `[N, D]`.

    Of `STRENGTHS` it takes the one with the largest mean cosine between what is predicted and what is right, both less
    the mean of the training targets, over at most `NUM_FOLDS` folds, which never part a cluster.

    Raises:
        ValueError: there are fewer than two clusters, or all features are the same.
    """
    folds = clustered_folds(clusters, NUM_FOLDS, seed=seed)
    cosines = np.zeros(len(STRENGTHS))
    for fold in np.unique(folds):
        held_out = folds == fold
        maps = _fits(features[~held_out], targets[~held_out])
        right = targets[held_out] - maps[0].target_mean
        cosines += [float(cosine(one.centred(features[held_out]), right).sum()) for one in maps]
    return _fits(features, targets)[int(cosines.argmax())]


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of one array with the same row of the other; 0 where one of them is 0."""
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    return (left * right).sum(-1) / np.maximum(norms, 1e-12)


def clustered_folds(clusters: Sequence[Hashable], number: int, *, seed: int) -> np.ndarray:
    """Return the fold of each item, from 0 on: at most `number`, of about equal size, none of which parts a cluster.

    Raises:
        ValueError: there are fewer than two clusters.
    """
    members: dict[Hashable, list[int]] = {}
    for index, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(index)
    if len(members) < 2:
        raise ValueError(f"cross-validation needs at least two clusters of items; there are {len(members)}")
    groups = list(members.values())
    np.random.default_rng(seed).shuffle(groups)
    groups.sort(key=len, reverse=True)  # the largest first, each into the fold that has the fewest items by then
    sizes = np.zeros(min(number, len(groups)), dtype=int)
    folds = np.zeros(len(clusters), dtype=int)
    for group in groups:
        fold = int(sizes.argmin())
        folds[group] = fold
        sizes[fold] += len(group)
    return folds


def _fits(features: np.ndarray, targets: np.ndarray) -> list[RidgeMap]:
    """Return the map of each strength, by eigendecomposition of the kernel or the covariance, whichever is smaller."""
    feature_mean, target_mean = features.mean(0), targets.mean(0)
    x, y = features - feature_mean, targets - target_mean
    unit = float(np.square(x).sum()) / len(x)
    if unit <= 0:
        raise ValueError("all training items have the same features")
    number, width = x.shape
    if number <= width:
        values, vectors = np.linalg.eigh(x @ x.T)
        left, right = x.T @ vectors, vectors.T @ y
    else:
        values, vectors = np.linalg.eigh(x.T @ x)
        left, right = vectors, vectors.T @ (x.T @ y)
    values = values.clip(min=0)[:, None]
    return [
        RidgeMap(left @ (right / (values + strength * unit)), feature_mean, target_mean, strength)
        for strength in STRENGTHS
    ]
