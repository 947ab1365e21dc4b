"""`Tag`: the model's log-likelihood of every label, any number of which are right, in every condition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from eval.items.conditions import Conditions
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.kinds import Tag
from eval.run.answers import Answers
from eval.run.kinds.base import Collected, Procedure
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.scorers import TagAnswer
from eval.task import Task


@dataclass(frozen=True)
class TagProcedure(Procedure):
    """Scores all labels of the data for every item; see `Procedure`."""

    kind: Tag
    answer_type: ClassVar[type] = TagAnswer

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Give each item all labels as options."""
        labels = tuple(sorted({label for item in loaded.items for label in item.references}))
        if loaded.items and len(labels) < 2:
            raise ValueError(f"task {task.name!r} needs at least two different labels; found {[*labels]}")
        return replace(loaded, items=tuple(replace(item, options=labels) for item in loaded.items))

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return the number of labels."""
        templates = {"templates": f"{len(self.kind.templates)}, which a language model is not shown"}
        return {"labels": len(items[0].options), **(templates if self.kind.templates else {})}

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for every label in every condition."""
        for condition in plan.conditions.values():
            for item, prefixes in zip(plan.items, condition, strict=True):
                for prefix in prefixes:
                    requests.score(prefix, item.options)

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return the likelihoods of the labels; of several shuffles the first stands for all."""
        found: dict[str, dict[int, TagAnswer]] = {}
        for name, condition in plan.conditions.items():
            found[name] = {}
            for index in kept:
                item = plan.items[index]
                scores = answers.likelihoods(condition[index][0], item.options)
                if scores is not None:
                    right = tuple(sorted({item.options.index(label) for label in item.references}))
                    found[name][index] = TagAnswer(item, scores, right)
        return Collected(found)
