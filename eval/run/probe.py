"""Linear probe: ridge regression to one-hot labels on standardised, mean-pooled features of the frozen encoder.

It shows how much the encoder's features hold about the labels, before any adapter or LLM: a kind of ceiling for
zero-shot scores. The strength of the ridge is chosen by leave-one-out error on the training split (closed form), so
there is nothing to tune.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from eval.items.item import Item
from eval.items.loading import load_items
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from eval.run.pooled import cached_features
from eval.run.space import Respondent
from eval.statistics.intervals import Estimate, mean_interval
from eval.task import Task
from omni.encoders.base import Encoder

ALPHAS = np.logspace(-1, 5, 13)


def run_probe(
    model: Respondent, task: Task, items: Sequence[Item], cache: AnswerCache, *, seed: int, progress: bool
) -> Estimate:
    """Return the accuracy of the probe on a task's items, trained on the training split that the task names.

    Raises:
        ValueError: the task shows several modalities, or the training split has fewer than two labels.
        FileNotFoundError: the training split is not there.
    """
    assert task.probe is not None
    if len(task.modalities) != 1:
        raise ValueError(f"a probe takes one modality, the task shows {' and '.join(task.modalities)}")
    encoder = model.modality(task.modalities[0]).encoder
    training = load_items(task, task.probe.data, task.probe.limit, seed)
    total = len(training.items) + len(items)
    with tqdm(total=total, unit="item", desc=f"probe of {task.name}", disable=not progress) as bar:
        train_features, train_labels, _ = _features(encoder, training.items, cache, bar)
        test_features, test_labels, clusters = _features(encoder, items, cache, bar)
    if len(set(train_labels)) < 2 or not test_labels:
        raise ValueError(f"the training split {task.probe.data} has fewer than two labels, or no test item is readable")
    return fit_and_score(train_features, train_labels, test_features, test_labels, clusters)


def fit_and_score(
    train_features: np.ndarray,
    train_labels: Sequence[str],
    test_features: np.ndarray,
    test_labels: Sequence[str],
    clusters: Sequence[int],
) -> Estimate:
    """Train the probe on features `[N, D]` and return its accuracy on others, with the interval."""
    classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=ALPHAS))
    classifier.fit(train_features, list(train_labels))
    predicted = classifier.predict(test_features)
    right = [float(left == label) for left, label in zip(predicted, test_labels, strict=True)]
    return mean_interval(right, clusters)


def _features(
    encoder: Encoder, items: Sequence[Item], cache: AnswerCache, bar: "tqdm[Any]"
) -> tuple[np.ndarray, list[str], list[int]]:
    rows: list[list[float]] = []
    used: list[Item] = []
    for item in items:
        try:
            rows.append(np.mean([cached_features(encoder, media, cache) for media in item.media], axis=0).tolist())
            used.append(item)
        except ITEM_ERRORS:
            pass  # the result names unreadable items of the task; those of the training split are no loss
        bar.update()
    return np.asarray(rows), [item.target for item in used], [item.cluster for item in used]
