"""Which of an item's candidates is right, asked one by one: the one for which yes is likeliest.

So Kosmos-1 is asked Raven's matrices (Huang et al. 2023, arXiv:2302.14045, section 4.3): each candidate is shown as the
next picture, `Is it correct?`, and the candidate with the largest probability of `Yes` is the model's answer. The rows
of a matrix have the same `group`, one for each candidate, and the right answer of one of them is yes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eval.items.item import Item
from eval.metrics import parse_yes_no
from eval.scorers.answers import ChoiceAnswer
from eval.scorers.base import ItemScore, Scores
from eval.scorers.choice import ChoiceScorer, credit
from eval.scorers.groups import items_by_group
from eval.statistics.intervals import mean_interval


class LikeliestYesScorer:
    """Scores groups of yes-or-no items, of each of which the one with the likeliest yes is the answer."""

    name = "likeliest-yes"
    version = 1
    takes = (ChoiceAnswer,)
    metric = "accuracy"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean over groups of one in the number of their items.

        Raises:
            ValueError: an item has no group or no option yes, or a group has not exactly one item that is right.
        """
        groups = items_by_group(items)
        for name, members in groups.items():
            rights = [index for index in members if _is_right(items[index])]
            if len(rights) != 1 or len(members) < 2:
                raise ValueError(
                    f"group {name!r} has {len(members)} candidates of which {len(rights)} are right; it needs at least "
                    "two, and one that is right. A limit draws rows, not groups: run without --limit"
                )
        return float(np.mean([1 / len(members) for members in groups.values()]))

    def score(self, answers: Sequence[ChoiceAnswer], *, condition: str, seed: int) -> Scores:
        """Return the share of groups whose likeliest yes is right; one that lacks its right candidate is wrong."""
        single = ChoiceScorer("sum").score(answers, condition=condition, seed=seed).items
        items: list[ItemScore] = list(single)
        groups = items_by_group([answer.item for answer in answers])
        values = []
        for members in groups.values():
            values.append(_value([answers[index] for index in members]))
            for index in members:
                items[index] = replace(items[index], value=values[-1])
        clusters = [answers[members[0]].item.cluster for members in groups.values()]
        return Scores({self.metric: mean_interval(values, clusters, bounds=(0.0, 1.0))}, items)


def _value(answers: Sequence[ChoiceAnswer]) -> float:
    right = next((index for index, answer in enumerate(answers) if _is_right(answer.item)), None)
    if right is None:
        return 0.0
    # Several shuffles: the mean over them, each of which ranks the candidates anew.
    showings = min(len(answer.log_likelihoods) for answer in answers)
    yes = np.array([[scores[_yes(one.item)] for scores in one.log_likelihoods[:showings]] for one in answers])
    return float(np.mean([credit(yes[:, showing], right) for showing in range(showings)]))


def _yes(item: Item) -> int:
    found = [index for index, option in enumerate(item.options) if parse_yes_no(option)]
    if len(found) != 1:
        raise ValueError(f"item {item.id!r} needs one option that says yes; it has {', '.join(item.options)}")
    return found[0]


def _is_right(item: Item) -> bool:
    return item.right == _yes(item)


LIKELIEST_YES = LikeliestYesScorer()
