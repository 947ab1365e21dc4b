"""What the comparisons share: a line of the table, the greatest difference, and short ways to ask a scorer."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval.items.item import Item
from eval.scorers import SCORERS, ChoiceAnswer, WrittenAnswer

TOLERANCE = 1e-9


class Outcome(NamedTuple):
    """One line of the table."""

    scorer: str
    figure: str
    reference: str
    cases: int
    largest: float


def compare(scorer: str, figure: str, reference: str, pairs: Iterable[tuple[Any, Any]]) -> Outcome:
    """Return the number of cases and the largest difference between pairs of ours and theirs (or of equal or not)."""
    largest, cases = 0.0, 0
    for own, theirs in pairs:
        own, theirs = np.asarray(own, float), np.asarray(theirs, float)
        both_missing = np.isnan(own) & np.isnan(theirs)
        gap = np.where(both_missing, 0.0, np.abs(own - theirs))
        largest = max(largest, float(np.nanmax(gap, initial=0.0)), float("inf") if np.isnan(gap).any() else 0.0)
        cases += 1
    return Outcome(scorer, figure, reference, cases, largest)


def figures(scorer: str, answers: Sequence[Any]) -> dict[str, float]:
    """Return the figures that a scorer gives answers with the items' own media."""
    found = SCORERS[scorer].score(answers, condition="own", seed=0)
    return {name: one.value for name, one in found.estimates.items()}


def item_values(scorer: str, answers: Sequence[Any]) -> list[float]:
    """Return the value that a scorer gives each answer."""
    return [one.value for one in SCORERS[scorer].score(answers, condition="own", seed=0).items]


def written(text: str, target: str, **fields: Any) -> WrittenAnswer:
    """Return an answer in the model's own words to an item of its own."""
    return WrittenAnswer(Item(fields.pop("id", "one"), (), "", target, fields.pop("cluster", 0), **fields), text)


def chosen(item: Item, *showings: Sequence[float], base: Sequence[float] = (), tokens: Sequence[int] = ()) -> Any:
    """Return the answer to a choice, from the log-likelihoods of one or several prefixes."""
    number = len(item.options)
    return ChoiceAnswer(item, showings, list(base) or [0.0] * number, list(tokens) or [1] * number)
