"""Tagging: any number of right labels an item, as in AudioSet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.item import Item
from eval.metrics.classification import mean_average_precision
from eval.scorers.answers import TagAnswer
from eval.scorers.base import Scores, mean_of
from eval.statistics.intervals import bootstrap

_NUM_RESAMPLES = 50  # each ranks all items once for every label
_NUM_TOP = 3


@dataclass(frozen=True)
class TaggingScorer:
    """Ranks the items for each label; the primary metric is the mean over labels of the average precision.

    It has no value for a single item, so that the difference from the shuffled control is not paired.
    """

    name = "tagging"
    version = 1
    takes = (TagAnswer,)
    metric = "mean_average_precision"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean over labels of their share of the items, what a random order gives in the limit."""
        shares = np.zeros(len(items[0].options))
        for item in items:
            for label in {*item.references}:
                shares[item.options.index(label)] += 1 / len(items)
        return float(shares[shares > 0].mean())

    def score(self, answers: Sequence[TagAnswer], *, condition: str, seed: int) -> Scores:
        """Return the mean average precision, and how often the likeliest label is there."""
        scores = np.stack([np.asarray(one.scores, dtype=float) for one in answers])
        positive = np.zeros(scores.shape, dtype=bool)
        for row, one in enumerate(answers):
            positive[row, list(one.right)] = True
        estimates = {
            self.metric: bootstrap(
                lambda chosen: mean_average_precision(scores[chosen], positive[chosen]),
                len(answers),
                seed=seed,
                clusters=[one.item.cluster for one in answers],
                num_resamples=_NUM_RESAMPLES,
            )
        }
        first = [float(positive[row, int(best)]) for row, best in enumerate(scores.argmax(1))]
        estimates["recall_at_1"] = mean_of(first, answers)
        return Scores(estimates)
