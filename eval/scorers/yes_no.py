"""Questions with the answer yes or no, such as those of POPE (Li et al. 2023, arXiv:2305.10355).

Accuracy alone does not tell a model that sees from one that says yes to everything, so precision, recall, F1 and the
share of yes stand next to it. An answer that says neither is wrong, no yes, and counted in `unparsed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.item import Item
from eval.metrics import binary, parse_yes_no, parse_yes_no_exact, parse_yes_no_pope
from eval.metrics.yes_no import YesNoParser
from eval.scorers.answers import ChoiceAnswer, WrittenAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.statistics.intervals import Estimate, bootstrap

_WORDS = {True: "yes", False: "no", None: "neither yes nor no"}


@dataclass(frozen=True)
class YesNoScorer:
    """Scores answers that are yes or no; of a choice between the two, the likeliest option.

    Attributes:
        name: what it is called, without its version.
        parse: reads yes or no out of a text; see `eval.metrics.yes_no`.
    """

    name: str
    parse: YesNoParser
    version: int = 1
    takes = (ChoiceAnswer, WrittenAnswer)
    metric = "accuracy"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return one half.

        Raises:
            ValueError: the right answer to an item is neither yes nor no; the message names it.
        """
        for item in items:
            _is_yes(item)
        return 0.5

    def score(self, answers: Sequence[ChoiceAnswer | WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return accuracy, precision, recall, F1, the share of yes and the share of answers that are neither."""
        said = [self.parse(answer.text) for answer in answers]
        right = [_is_yes(answer.item) for answer in answers]
        said_yes, is_yes = np.array([one is True for one in said]), np.array(right)
        clusters = [answer.item.cluster for answer in answers]

        def over_items(figure: binary.Figure) -> Estimate:
            def statistic(chosen: np.ndarray) -> float:
                return figure(said_yes[chosen], is_yes[chosen])

            return bootstrap(statistic, len(said), seed=seed, clusters=clusters)

        values = [float(one == yes) for one, yes in zip(said, right, strict=True)]
        estimates = {
            "accuracy": mean_of(values, answers),
            "precision": over_items(binary.precision),
            "recall": over_items(binary.recall),
            "f1": over_items(binary.f1),
            "yes_share": mean_of(said_yes.astype(float).tolist(), answers),
            "unparsed": mean_of([float(one is None) for one in said], answers),
        }
        notes = [f"read as {_WORDS[one]}" for one in said]
        return Scores(estimates, [ItemScore(value, note=note) for value, note in zip(values, notes, strict=True)])


def _is_yes(item: Item) -> bool:
    found = {parse_yes_no(reference) for reference in item.references}
    right = found.pop() if len(found) == 1 else None
    if right is None:
        listed = " / ".join(dict.fromkeys(item.references))
        raise ValueError(f"item {item.id!r}: the right answer must be yes or no, not {listed!r}")
    return right


YES_NO = (
    YesNoScorer("yes-no", parse_yes_no),
    YesNoScorer("yes-no-pope", parse_yes_no_pope),
    YesNoScorer("yes-no-exact", parse_yes_no_exact),
)
