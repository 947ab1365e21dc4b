"""`Conflict`: the likelihood of both answers and of distractors, where the media of two modalities disagree."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from eval.items.conditions import BLANK, OWN, Conditions, only_name
from eval.items.controls import derangement
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.items.prefix import Prefix, digest
from eval.items.spellings import one_spelling
from eval.run.answers import Answers
from eval.run.kinds.base import Collected, Procedure, without_several_answers
from eval.run.kinds.match import exchange
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.scorers import ConflictAnswer
from eval.task import Conflict, Task

AGREEING = "agreeing"  # the item's own media of both modalities


@dataclass(frozen=True)
class RivalItem(Item):
    """An item with the item that it is in conflict with.

    Attributes:
        rival: the index of the option that is that item's answer.
        opponent: that item.
    """

    rival: int = 0
    opponent: Item | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ConflictProcedure(Procedure):
    """Compares likelihoods; see `Procedure`."""

    kind: Conflict
    answer_type: ClassVar[type] = ConflictAnswer

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Give each item its opponent, and both answers among its options."""
        loaded = without_several_answers(loaded)
        targets = one_spelling([item.target for item in loaded.items])
        opponents = derangement(targets, seed)
        if opponents is None:
            raise ValueError(f"task {task.name!r} needs items with at least two different answers for a conflict")
        distinct = sorted({*targets})
        items = []
        for index, item in enumerate(loaded.items):
            own, other = targets[index], targets[opponents[index]]
            options = self._options(own, other, distinct, item, seed)
            values = {one.name: getattr(item, one.name) for one in fields(Item)}
            values |= {"options": options, "right": options.index(own)}
            items.append(RivalItem(**values, rival=options.index(other), opponent=loaded.items[opponents[index]]))
        return replace(loaded, items=tuple(items))

    def _options(self, own: str, other: str, distinct: Sequence[str], item: Item, seed: int) -> tuple[str, ...]:
        generator = random.Random(digest([seed, "conflict", item.id, own]))
        others = [answer for answer in distinct if answer not in (own, other)]
        options = [own, other, *generator.sample(others, min(self.kind.num_candidates - 2, len(others)))]
        generator.shuffle(options)
        return tuple(options)

    def conditions(self, task: Task, items: Sequence[Item], seed: int) -> Conditions:
        """Return the conflict, both modalities of the item itself, each of them alone, and no media."""
        conflicts = [[_conflict(item, self.kind.second)] for item in items]
        alone = {
            only_name([modality]): [
                [item.prefix(tuple(part for part in item.media if part.modality == modality))] for item in items
            ]
            for modality in (self.kind.first, self.kind.second)
        }
        agreeing = [[item.prefix(item.media)] for item in items]
        blank = [[item.prefix(())] for item in items]
        return Conditions({OWN: conflicts, AGREEING: agreeing, **alone, BLANK: blank}, {}, [])

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return which modality stays and which one is exchanged."""
        return {"own": f"{self.kind.first} of the item, {self.kind.second} of an item with another answer"}

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for every option in every condition."""
        for condition in plan.conditions.values():
            for item, prefixes in zip(plan.items, condition, strict=True):
                for prefix in prefixes:
                    requests.score(prefix, item.options)

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return the likelihoods of the options of each item, with those without media as base."""
        found: dict[str, dict[int, ConflictAnswer]] = {name: {} for name in plan.conditions if name != BLANK}
        for index in kept:
            item = plan.items[index]
            base = answers.likelihoods(plan.conditions[BLANK][index][0], item.options)
            for name, by_item in found.items():
                scores = answers.likelihoods(plan.conditions[name][index][0], item.options)
                if scores is not None and base is not None:
                    num_tokens = [answers.num_tokens[option] for option in item.options]
                    rival = getattr(item, "rival", 0)
                    by_item[index] = ConflictAnswer(item, [scores], base, num_tokens, rival=rival)
        return Collected(found, {BLANK: "it is what the mutual information is measured against"})


def _conflict(item: Item, second: str) -> Prefix:
    opponent = getattr(item, "opponent", None)
    return item.prefix(item.media) if opponent is None else exchange(item, opponent, second)
