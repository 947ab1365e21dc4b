"""Groups of items that count as right only together, such as pairs (MMVP) and rotations of options (MMBench).

The rows of a group have the same `group` in their data, a text or a number.

- **pairs** (Tong et al. 2024, arXiv:2401.06209, MMVP): two questions about two pictures that an encoder takes for one.
- **groups** of any size, which each row says under `group_size`: a statement about one picture and its negation (MME),
  two questions about two pictures (NaturalBench), one question about several pictures (HallusionBench).
- **circular** (Liu et al. 2023, arXiv:2307.06281, MMBench): one question, once for each rotation of its options, so
  that a model which prefers a letter gains nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.items.item import Item
from eval.scorers.base import ItemScore, Scorer, Scores
from eval.scorers.choice import NORMALIZATIONS, ChoiceScorer
from eval.scorers.derived import Derived
from eval.scorers.multiple_choice import MULTIPLE_CHOICE, options_of
from eval.scorers.yes_no import YES_NO
from eval.statistics.intervals import mean_interval


@dataclass(frozen=True)
class GroupScorer(Derived):
    """Scores groups of items by a scorer of single items, whose primary metric is a share.

    The value of a group is the product of those of its items: 1 if all are right, 0 if one is wrong. What is shared (a
    tie of two options, several shuffles) counts as chances that do not depend on each other. A group that is not
    complete (a row of it is missing, or the model could not take it) is wrong, and counted in `incomplete`.

    Attributes:
        kind: the beginning of its name, such as `pairs`.
        size: from an item to the number of items of its group.
        scorer: scores the single items.
    """

    kind: str
    size: Callable[[Item], int]
    scorer: Scorer
    own_version: int = 1
    metric = "group_accuracy"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean over groups of the product of the chances of their items.

        Raises:
            ValueError: an item has no group, a group has more items than belong to it, or none is complete.
        """
        groups = items_by_group(items)
        for name, members in groups.items():
            if len(members) > (size := self.size(items[members[0]])):
                listed = ", ".join(repr(items[index].id) for index in members[: size + 1])
                raise ValueError(
                    f"group {name!r} has {len(members)} items ({listed}), more than the {size} of {self.kind}"
                )
        complete = [members for members in groups.values() if len(members) == self.size(items[members[0]])]
        if not complete:
            raise ValueError(
                f"no group of {self.kind} is complete; a limit draws rows, not groups: run without --limit"
            )
        chances = [[self.scorer.chance([items[index]]) or 0.0 for index in members] for members in complete]
        return sum(map(math.prod, chances)) / len(groups)

    def score(self, answers: Sequence[Any], *, condition: str, seed: int) -> Scores:
        """Return the share of groups that are right, the share that are incomplete, and the figures of single items."""
        single = self.scorer.score(answers, condition=condition, seed=seed)
        groups = items_by_group([answer.item for answer in answers])
        values: list[float] = []
        missing: list[float] = []
        items = list(single.items)
        for members in groups.values():
            complete = len(members) == self.size(answers[members[0]].item)
            value = math.prod(single.items[index].value for index in members) if complete else 0.0
            values.append(value)
            missing.append(float(not complete))
            for index in members:
                items[index] = _with_group(single.items[index], value, complete)
        clusters = [answers[members[0]].item.cluster for members in groups.values()]
        estimates = {
            self.metric: mean_interval(values, clusters, bounds=(0.0, 1.0)),
            "incomplete": mean_interval(missing, clusters, bounds=(0.0, 1.0)),
        }
        return Scores(estimates | dict(single.estimates), items)


def items_by_group(items: Sequence[Item]) -> dict[str, list[int]]:
    """Return group -> the indices of its items.

    Raises:
        ValueError: an item has no group.
    """
    found: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        if item.group is None:
            raise ValueError(f"item {item.id!r} has no group: give the rows that belong together the same 'group'")
        found.setdefault(item.group, []).append(index)
    return found


def _with_group(single: ItemScore, value: float, complete: bool) -> ItemScore:
    own = f"alone {single.value:.2f}" if complete else f"alone {single.value:.2f}, its group is incomplete"
    return replace(single, value=value, note=f"{single.note}; {own}" if single.note else own)


def _size_of_row(item: Item) -> int:
    size = item.meta.get("group_size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(
            f"item {item.id!r} has no 'group_size' in its row, the number of items of its group; got {size!r}"
        )
    return size


# The blank control of mutual information is 0 for every option, so that its groups would have no blank control.
_SINGLE: tuple[Scorer, ...] = (*MULTIPLE_CHOICE, *(ChoiceScorer(name) for name in NORMALIZATIONS if name != "pmi"))
PAIRS = tuple(GroupScorer("pairs", lambda item: 2, scorer) for scorer in _SINGLE)
CIRCULAR = tuple(GroupScorer("circular", lambda item: len(options_of(item)), scorer) for scorer in _SINGLE)
GROUPS = tuple(GroupScorer("groups", _size_of_row, scorer) for scorer in (*YES_NO, *_SINGLE))
