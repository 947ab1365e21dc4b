"""`Match`: the log-likelihood of the right answer with the item's own media, and with one taken from another item."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from eval.items.conditions import BLANK, OWN, SHUFFLED, Condition, Conditions, usual_conditions
from eval.items.controls import derangement
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.items.prefix import Prefix
from eval.items.spellings import one_spelling
from eval.run.answers import Answers
from eval.run.kinds.base import Collected, Procedure, without_several_answers
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.scorers import ComparisonAnswer
from eval.task import Match, Task
from omni.samples.messages import Media

# Conditions that the others are compared with; they have no figures of their own.
MISMATCHED = "mismatched"
SHUFFLED_MISMATCHED = "shuffled-mismatched"

_FIRST_DRAW = 1000  # added to the seed, so that partners are other draws than those of the shuffled control


@dataclass(frozen=True)
class MatchProcedure(Procedure):
    """Compares likelihoods; see `Procedure`."""

    kind: Match
    answer_type: ClassVar[type] = ComparisonAnswer

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Leave out the items with several right answers."""
        return without_several_answers(loaded)

    def conditions(self, task: Task, items: Sequence[Item], seed: int) -> Conditions:
        """Return the usual conditions, and for each the mismatched media that it is compared with."""
        usual = usual_conditions(task, items, seed)
        if not usual.shuffles:
            raise ValueError(f"task {task.name!r} needs items with at least two different answers to mismatch media")
        # At most as many different partners as there are other items; a derangement never repeats within one draw, and
        # repetitions between draws are dropped.
        answers = one_spelling([item.target for item in items])
        draws = [derangement(answers, seed + _FIRST_DRAW + number) for number in range(self.kind.num_mismatches)]
        mismatched = []
        for index, item in enumerate(items):
            partners = dict.fromkeys(draw[index] for draw in draws if draw is not None)
            mismatched.append([exchange(item, items[other], self.kind.replaced) for other in partners])
        # The control asks about item i while showing item j, with j's own and with j's mismatched media.
        shuffle = usual.shuffles[0]
        shuffled = [
            [item.prefix(prefix.media) for prefix in mismatched[shuffle[index]]] for index, item in enumerate(items)
        ]
        compared = {MISMATCHED: mismatched, SHUFFLED_MISMATCHED: shuffled}
        return replace(usual, prefixes=usual.prefixes | compared)

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for the right answer of each item, with both sides of both comparisons."""
        for name in (OWN, SHUFFLED, MISMATCHED, SHUFFLED_MISMATCHED):
            for item, prefixes in zip(plan.items, plan.conditions[name], strict=True):
                for prefix in prefixes:
                    requests.score(prefix, [item.target])

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return the gains of each item over its mismatches, and those of its shuffled control."""
        conditions = plan.conditions
        found = {
            OWN: _gains(plan, kept, answers, conditions[OWN], conditions[MISMATCHED]),
            SHUFFLED: _gains(plan, kept, answers, conditions[SHUFFLED], conditions[SHUFFLED_MISMATCHED]),
        }
        blank = "without media there is nothing to mismatch: both sides are equal, 50 % by construction"
        return Collected(found, {BLANK: blank})


def _gains(
    plan: Plan, kept: Sequence[int], answers: Answers, left: Condition, right: Condition
) -> dict[int, ComparisonAnswer]:
    """Return the gains in log-likelihood of the right answers: left over right, for each prefix on the right."""
    found: dict[int, ComparisonAnswer] = {}
    for index in kept:
        item = plan.items[index]
        base = answers.likelihoods(left[index][0], [item.target])
        others = [answers.likelihoods(prefix, [item.target]) for prefix in right[index]]
        gains = [base[0] - other[0] for other in others if base is not None and other is not None]
        if gains:
            found[index] = ComparisonAnswer(item, gains)
    return found


def exchange(item: Item, other: Item, modality: str) -> Prefix:
    """Return the item's prefix with its media of one modality replaced by those of another item, place by place."""
    spare: list[Media] = [part for part in other.media if part.modality == modality]
    media: list[Media] = []
    for part in item.media:
        if part.modality != modality:
            media.append(part)
        elif spare:
            media.append(spare.pop(0))
    return item.prefix((*media, *spare))
