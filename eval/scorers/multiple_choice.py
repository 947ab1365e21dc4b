"""Multiple choice by parsing: the model writes, and the option that its answer names is read out of the text.

The options are those of the item or, for `Generate`, those that the question lists, which are what the model was shown.
An answer that names no option is wrong, and the share of such answers is reported next to the accuracy.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from eval.data.letters import LETTERS
from eval.items.item import Item
from eval.metrics import marked_options, parse_option, parse_option_lmms_eval, parse_option_vlmevalkit, right_option
from eval.metrics.option_letters import OptionParser
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import ItemScore, Scores, mean_of


@dataclass(frozen=True)
class MultipleChoiceScorer:
    """Compares the option that a text names with the right one.

    Attributes:
        name: what it is called, without its version.
        parse: reads an option out of a text; see `eval.metrics.option_letters`.
        guess: whether an option is drawn, by seed and item, where none can be read; for the figures of suites that do.
    """

    name: str
    parse: OptionParser
    guess: bool = False
    version: int = 1
    takes = (WrittenAnswer,)
    metric = "accuracy"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean share of an item's options that are right.

        Raises:
            ValueError: an item has no options, or no right one; the message names it.
        """
        return sum(len(right_options(item)) / len(options_of(item)) for item in items) / len(items)

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return the accuracy, and the share of answers that no option could be read out of."""
        parsed = [self.parse(answer.text, options_of(answer.item)) for answer in answers]
        items = [self._item_score(answer.item, index, seed) for answer, index in zip(answers, parsed, strict=True)]
        estimates = {
            "accuracy": mean_of([item.value for item in items], answers),
            "unparsed": mean_of([float(index is None) for index in parsed], answers),
        }
        return Scores(estimates, items)

    def _item_score(self, item: Item, index: int | None, seed: int) -> ItemScore:
        note = "no option could be read" if index is None else f"read as {LETTERS[index]}"
        if index is None and self.guess:
            index = random.Random(f"{seed}:{item.id}").randrange(len(options_of(item)))
            note += f"; drawn by chance: {LETTERS[index]}"
        return ItemScore(float(index in right_options(item)), note=note)


def options_of(item: Item) -> tuple[str, ...]:
    """Return the options of an item: its own, else those that its question lists.

    Raises:
        ValueError: there are fewer than two, or more than there are letters.
    """
    options = item.options or marked_options(item.prompt)
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(
            f"item {item.id!r} asks a multiple-choice question with {len(options)} options, and 2 to {len(LETTERS)} "
            "can be read; list them in the question, such as 'A. frog' and 'B. toad' on lines of their own"
        )
    return options


def right_options(item: Item) -> frozenset[int]:
    """Return the indices of the options that are right: as many as the item has different references.

    Of options with the same text all are right if one is.

    Raises:
        ValueError: a reference is none of the options.
    """
    options = options_of(item)
    if item.options:
        return frozenset(index for index, option in enumerate(options) if option == options[item.right])
    try:
        return frozenset(right_option(reference, options) for reference in item.references)
    except ValueError as error:
        raise ValueError(f"item {item.id!r}: {error}") from error


MULTIPLE_CHOICE = (
    MultipleChoiceScorer("multiple-choice", parse_option),
    MultipleChoiceScorer("multiple-choice-vlmevalkit", parse_option_vlmevalkit),
    MultipleChoiceScorer("multiple-choice-lmms-eval-random", parse_option_lmms_eval, guess=True),
)
