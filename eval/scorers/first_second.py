"""Which of two inputs is it? Questions over two media, answered in the model's own words (DisCRn's evaluation)."""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.items.item import Item
from eval.metrics.first_second import names_input
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import ItemScore, Scores, mean_of

_RIGHT = {"0": 0, "first": 0, "1": 1, "second": 1}


@dataclass(frozen=True)
class FirstSecondScorer:
    """Counts answers that name the right one of an item's two media, by its place or its modality.

    The right answer is `first` or `second`, or DisCRn's label, `0` or `1`.
    """

    name = "first-second"
    version = 1
    takes = (WrittenAnswer,)
    metric = "accuracy"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return one half.

        Raises:
            ValueError: an item has not two media, or its right answer is none of the two; the message names it.
        """
        for item in items:
            if len(item.media) != 2:
                raise ValueError(f"item {item.id!r} shows {len(item.media)} media, where one of two is asked for")
            _right(item)
        return 0.5

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return the accuracy, and the shares of answers that name both inputs (which are right there) or neither."""
        named = [
            [names_input(answer.text, index, part.modality) for index, part in enumerate(answer.item.media)]
            for answer in answers
        ]
        values = [float(found[_right(answer.item)]) for answer, found in zip(answers, named, strict=True)]
        estimates = {
            "accuracy": mean_of(values, answers),
            "names_both": mean_of([float(all(found)) for found in named], answers),
            "unparsed": mean_of([float(not any(found)) for found in named], answers),
        }
        notes = [_note(*found) for found in named]
        return Scores(estimates, [ItemScore(value, note=note) for value, note in zip(values, notes, strict=True)])


def _right(item: Item) -> int:
    found = _RIGHT.get(item.target.strip().strip(".").lower())
    if found is None:
        raise ValueError(f"item {item.id!r}: the right answer must be first or second (or 0 or 1), not {item.target!r}")
    return found


def _note(first: bool, second: bool) -> str:
    if first and second:
        return "names both"
    return "read as first" if first else "read as second" if second else "names neither"


FIRST_SECOND = FirstSecondScorer()
