"""`Generate`: a text in the model's own words, in every condition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from eval.items.conditions import Conditions
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.run.answers import Answers
from eval.run.kinds.base import Collected, Procedure, with_own_options, without_several_answers
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.scorers import WrittenAnswer
from eval.task import Generate, Task


@dataclass(frozen=True)
class GenerateProcedure(Procedure):
    """Lets the model write; see `Procedure`."""

    kind: Generate
    answer_type: ClassVar[type] = WrittenAnswer
    may_repeat_options: ClassVar[bool] = True  # either letter is right

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Give each item its options, where the task says where they are."""
        if self.kind.own_key is None:
            return loaded
        return with_own_options(without_several_answers(loaded), self.kind.own_key, self.kind.right_by)

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return the generation settings, and where the options come from."""
        if self.kind.candidates is None:
            return {"generation": self.kind.settings}
        return {
            "generation": self.kind.settings,
            "candidates": self.kind.candidates,
            "right_by": self.kind.right_by,
        }

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for a text after every prefix."""
        for condition in plan.conditions.values():
            for prefixes in condition:
                for prefix in prefixes:
                    requests.generate(prefix, self.kind.settings)

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return one text of each item: a corpus metric takes one, so of several shuffles the first stands for all."""
        found: dict[str, dict[int, WrittenAnswer]] = {}
        for name, condition in plan.conditions.items():
            texts = {index: answers.text(condition[index][0], self.kind.settings) for index in kept}
            found[name] = {
                index: WrittenAnswer(plan.items[index], text) for index, text in texts.items() if text is not None
            }
        return Collected(found)
