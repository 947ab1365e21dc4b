"""Items with several right labels, as in AudioSet: how well each class ranks the items, and each item its classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.item import Item
from eval.metrics import classification
from eval.scorers.answers import ChoiceAnswer, LabelSetAnswer
from eval.scorers.base import Scores
from eval.scorers.choice import scores_of, softmax
from eval.scorers.classification import check_same_classes
from eval.statistics.intervals import Estimate, bootstrap

_NUM_RESAMPLES = 200


@dataclass(frozen=True)
class MultiLabelScorer:
    """Reports mean average precision over the classes that have a right item, AUROC, d-prime and lwlrap.

    A single item has no value: average precision is of a class.

    Attributes:
        name: what it is called, without its version.
        normalization: which score of the options; see `eval.scorers.choice`.
        as_shares: whether an item's scores of the classes are made to sum to 1, so that items can be ranked by them:
            likelihoods differ by item for reasons of their own. Similarities in a joint space are ranked as they are.
    """

    name: str
    normalization: str
    as_shares: bool = True
    version: int = 1
    takes = (LabelSetAnswer, ChoiceAnswer)
    metric = "mean_average_precision"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean share of items that are right, over classes: what a ranking at random comes to.

        Raises:
            ValueError: two items have different options; the message names them.
        """
        check_same_classes(items)
        shares = _positive(items).mean(0)
        return float(shares[shares > 0].mean())

    def score(self, answers: Sequence[ChoiceAnswer], *, condition: str, seed: int) -> Scores:
        """Return the figures of all items; of several shuffles, the first one stands for all."""
        # the mutual information with the base itself is 0 for every class
        normalization = "sum" if all(answer.is_base for answer in answers) else self.normalization
        scores = np.stack([self._of_classes(answer, normalization) for answer in answers])
        items = [answer.item for answer in answers]
        positive = _positive(items)
        precision, numbers = classification.label_ranking_precision(scores, positive), positive.sum(1)

        def over_items(statistic: Callable[[np.ndarray], float]) -> Estimate:
            clusters = [item.cluster for item in items]
            return bootstrap(statistic, len(items), seed=seed, clusters=clusters, num_resamples=_NUM_RESAMPLES)

        def area(chosen: np.ndarray) -> float:
            return classification.macro_auroc(scores[chosen], positive[chosen])

        estimates = {
            "mean_average_precision": over_items(
                lambda chosen: classification.mean_average_precision(scores[chosen], positive[chosen])
            ),
            "auroc": over_items(area),
            "d_prime": over_items(lambda chosen: classification.d_prime(area(chosen))),
            "lwlrap": over_items(lambda chosen: float(precision[chosen].sum() / numbers[chosen].sum())),
        }
        return Scores(estimates)

    def _of_classes(self, answer: ChoiceAnswer, normalization: str) -> np.ndarray:
        scored = scores_of(answer, answer.log_likelihoods[0])[normalization]
        return softmax(scored) if self.as_shares else scored


def _positive(items: Sequence[Item]) -> np.ndarray:
    """Return which classes are right for each item: [N, C]."""
    return np.array([[index in item.rights for index in range(len(item.options))] for item in items])


MULTI_LABEL = (
    MultiLabelScorer("multi-label", "pmi"),
    MultiLabelScorer("multi-label-sum", "sum"),
    MultiLabelScorer("multi-label-similarity", "sum", as_shares=False),
)
