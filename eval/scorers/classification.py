"""Choices among the same classes for every item: accuracy, and what it hides where classes are of unequal size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.items.item import Item
from eval.metrics import classification
from eval.metrics.confusion import Confusion
from eval.scorers.answers import ChoiceAnswer
from eval.scorers.base import Scores, mean_of
from eval.scorers.choice import NORMALIZATIONS, ChoiceScorer, scores_of, softmax
from eval.statistics.intervals import Estimate, bootstrap

_NUM_RESAMPLES = 200


@dataclass(frozen=True)
class ClassificationScorer:
    """Scores a choice among classes; the primary metric is the accuracy of `ranking`.

    The other figures are of the probabilities of the options (their scores, made to sum to 1); of several shuffles, the
    first one stands for all.

    Attributes:
        ranking: ranks the classes.
    """

    ranking: ChoiceScorer
    own_version: int = 1
    takes = (ChoiceAnswer,)
    percent = True

    @property
    def name(self) -> str:
        """See `Scorer`."""
        return f"classification-{self.ranking.normalization}"

    @property
    def version(self) -> int:
        """Rises with the version of either part."""
        return self.own_version + self.ranking.version - 1

    @property
    def metric(self) -> str:
        """See `Scorer`."""
        return self.ranking.metric

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return one in the number of classes.

        Raises:
            ValueError: two items have different options; the message names them.
        """
        check_same_classes(items)
        return self.ranking.chance(items)

    def score(self, answers: Sequence[ChoiceAnswer], *, condition: str, seed: int) -> Scores:
        """Return the figures of the ranking, and macro-F1, top-3, top-5, calibration, AUROC and average precision."""
        ranked = self.ranking.score(answers, condition=condition, seed=seed)
        # the mutual information with the base itself is 0 for every class
        normalization = "sum" if all(answer.is_base for answer in answers) else self.ranking.normalization
        scores = np.stack([_scores(answer, normalization) for answer in answers])
        probabilities = np.stack([softmax(row) for row in scores])
        right = np.array([answer.item.right for answer in answers])
        first = classification.first_places(scores)
        positive = np.arange(scores.shape[1])[None] == right[:, None]
        correct = first[positive]
        confidence = probabilities.max(1)
        clusters = [answer.item.cluster for answer in answers]

        def over_items(statistic: Callable[[np.ndarray], float]) -> Estimate:
            return bootstrap(statistic, len(right), seed=seed, clusters=clusters, num_resamples=_NUM_RESAMPLES)

        estimates = {
            "macro_f1": over_items(
                lambda chosen: classification.macro_f1(classification.confusion_matrix(first[chosen], right[chosen]))
            ),
            "top_3": mean_of(classification.top_k(scores, right, 3).tolist(), answers),
            "top_5": mean_of(classification.top_k(scores, right, 5).tolist(), answers),
            "calibration_error": over_items(
                lambda chosen: classification.expected_calibration_error(confidence[chosen], correct[chosen])
            ),
            "auroc": over_items(lambda chosen: classification.macro_auroc(probabilities[chosen], positive[chosen])),
            "mean_average_precision": over_items(
                lambda chosen: classification.mean_average_precision(probabilities[chosen], positive[chosen])
            ),
        }
        found = Confusion.of(answers[0].item.options, classification.confusion_matrix(first, right))
        return replace(ranked, estimates={**ranked.estimates, **estimates}, confusion=found)


def check_same_classes(items: Sequence[Item]) -> None:
    """Check that all items have the same options.

    Raises:
        ValueError: two have different ones; the message names them.
    """
    first = items[0]
    for item in items:
        if item.options != first.options:
            raise ValueError(
                f"items {first.id!r} and {item.id!r} have different options, and classification needs the same "
                "classes for all: Choose('labels') or Choose('answers')"
            )


def _scores(answer: ChoiceAnswer, normalization: str) -> np.ndarray:
    return scores_of(answer, answer.log_likelihoods[0])[normalization]


CLASSIFICATION = tuple(ClassificationScorer(ChoiceScorer(normalization)) for normalization in NORMALIZATIONS)
