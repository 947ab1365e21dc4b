"""MMMU: one figure over multiple-choice questions and open ones (Yue et al. 2023, arXiv:2311.16502)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval.items.item import Item
from eval.items.own_options import read_options, right_option
from eval.metrics import mmmu_open_is_right
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.scorers.multiple_choice import MULTIPLE_CHOICE, MultipleChoiceScorer


@dataclass(frozen=True)
class MMMUScorer:
    """Scores items with options in their row as multiple choice, and the others as MMMU's own code scores open ones.

    Attributes:
        choice: scores the items with options.
    """

    choice: MultipleChoiceScorer
    own_version: int = 1
    takes = (WrittenAnswer,)
    metric = "accuracy"
    percent = True

    @property
    def name(self) -> str:
        """See `Scorer`."""
        return self.choice.name.replace("multiple-choice", "mmmu")

    @property
    def version(self) -> int:
        """Rises with the version of either part."""
        return self.own_version + self.choice.version - 1

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the chance of the items with options, as a share of all items; nobody guesses an open answer.

        Raises:
            ValueError: an item has options of which none is right.
        """
        chosen = [_with_options(item) for item in items if _has_options(item)]
        return (self.choice.chance(chosen) or 0.0) * len(chosen) / len(items) if chosen else None

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return the accuracy over all, and over either kind of question."""
        places = {True: [], False: []}
        for index, answer in enumerate(answers):
            places[_has_options(answer.item)].append(index)
        chosen = [replace(answers[i], item=_with_options(answers[i].item)) for i in places[True]]
        written = [answers[i] for i in places[False]]
        estimates = {}
        by_place: dict[int, ItemScore] = {}
        if chosen:
            scores = self.choice.score(chosen, condition=condition, seed=seed)
            estimates |= {"accuracy_choice": scores.estimates["accuracy"], "unparsed": scores.estimates["unparsed"]}
            by_place |= dict(zip(places[True], scores.items, strict=True))
        if written:
            values = [float(mmmu_open_is_right(answer.text, answer.item.references)) for answer in written]
            estimates["accuracy_open"] = mean_of(values, written)
            by_place |= {i: ItemScore(value) for i, value in zip(places[False], values, strict=True)}
        items = [by_place[index] for index in range(len(answers))]
        return Scores({"accuracy": mean_of([item.value for item in items], answers), **estimates}, items)


def _has_options(item: Item) -> bool:
    return item.meta.get("options") is not None


def _with_options(item: Item) -> Item:
    try:
        options = read_options(item.meta, "options")
        return replace(item, options=options, right=right_option(item.target, options, "text"))
    except ValueError as error:
        raise ValueError(f"item {item.id!r}: {error}") from error


MMMU = tuple(MMMUScorer(scorer) for scorer in MULTIPLE_CHOICE)
