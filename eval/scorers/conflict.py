"""Conflicts: which of two modalities does the model follow where they disagree?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.item import Item
from eval.scorers.answers import ConflictAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.scorers.choice import NUM_TOP, choice_scores, credit, softmax


@dataclass(frozen=True)
class ConflictScorer:
    """Reports the share of items that follow the first modality, the second one, and neither.

    An option is chosen by its pointwise mutual information with the media, measured against the likelihood without
    media, so that a common text wins nothing by being common.
    """

    name = "conflict"
    version = 1
    takes = (ConflictAnswer,)
    metric = "follows_first"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean of one in the number of options."""
        return sum(1 / len(item.options) for item in items) / len(items)

    def score(self, answers: Sequence[ConflictAnswer], *, condition: str, seed: int) -> Scores:
        """Return the three shares, which add up to 1."""
        scores = [
            choice_scores(answer.item.options, answer.log_likelihoods[0], answer.base, answer.num_tokens)["pmi"]
            for answer in answers
        ]
        first = [credit(one, answer.item.right) for one, answer in zip(scores, answers, strict=True)]
        second = [credit(one, answer.rival) for one, answer in zip(scores, answers, strict=True)]
        neither = [1 - left - right for left, right in zip(first, second, strict=True)]
        estimates = {
            "follows_first": mean_of(first, answers),
            "follows_second": mean_of(second, answers),
            "follows_neither": mean_of(neither, answers),
        }
        return Scores(estimates, [_item_score(*one) for one in zip(answers, scores, first, strict=True)])


def _item_score(answer: ConflictAnswer, scores: np.ndarray, value: float) -> ItemScore:
    options = answer.item.options
    probabilities = softmax(scores)
    order = np.argsort(-probabilities, kind="stable")[:NUM_TOP]
    top = tuple((options[int(best)], round(float(probabilities[best]), 6)) for best in order)
    return ItemScore(value, text=top[0][0], top=top, note=f"against {options[answer.rival]!r}")
