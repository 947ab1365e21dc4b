"""`Choose`: the model's log-likelihood of every option of an item, in every condition."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from eval.items.conditions import BLANK, BRIDGE, BRIDGE_REFERENCE, REFERENCE, SHUFFLED, Conditions, usual_conditions
from eval.items.controls import SHUFFLED_WITHIN_CONTROL
from eval.items.grouped_options import grouped_options
from eval.items.item import Item
from eval.items.loading import LoadedItems, load_items
from eval.items.prefix import digest
from eval.items.spellings import one_spelling
from eval.items.wording import answer_text
from eval.run.answers import Answers
from eval.run.kinds.base import Collected, Procedure, with_bad, with_own_options, without_several_answers
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.scorers import ChoiceAnswer
from eval.task import Choose, Task


@dataclass(frozen=True)
class ChooseProcedure(Procedure):
    """Scores the options of an item; see `Procedure`."""

    kind: Choose
    answer_type: ClassVar[type[ChoiceAnswer]] = ChoiceAnswer
    ranks_candidates: ClassVar[bool] = True

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Give each item its options; where labels are declared, an item with another label is bad, and named."""
        loaded = without_several_answers(loaded)
        if self.kind.labels:
            allowed = ", ".join(self.kind.labels)
            bad = {
                index: f"has the label {item.target!r}, which is none of {allowed}"
                for index, item in enumerate(loaded.items)
                if item.target not in self.kind.labels
            }
            loaded = with_bad(loaded, bad)
        if self.kind.own_key is not None:
            return _as_answers(task, with_own_options(loaded, self.kind.own_key, self.kind.right_by))
        if not loaded.items:
            return loaded
        targets = [self.kind.labels.get(item.target, item.target) for item in loaded.items]
        # one candidate for each answer, however the rows spell it; labels are told apart as they are written
        spelled = targets if self.kind.candidates == "labels" else one_spelling(targets)
        distinct = tuple(dict.fromkeys(self.kind.labels.values() or sorted(spelled)))
        if len(distinct) < 2:
            raise ValueError(
                f"task {task.name!r} needs at least two different answers to choose from; found {[*distinct]}"
            )
        grouped = grouped_options(spelled, self.kind.num_candidates, seed) if self._is_grouped else {}
        items = []
        for item, target in zip(loaded.items, spelled, strict=True):
            options = grouped.get(target, distinct)
            if self.kind.candidates == "sampled":
                options = self._sample(distinct, target, item, seed)
            items.append(replace(item, options=options, right=options.index(target)))
        return _as_answers(task, replace(loaded, items=tuple(items)))

    @property
    def _is_grouped(self) -> bool:
        return self.kind.candidates == "grouped"

    def _sample(self, distinct: Sequence[str], target: str, item: Item, seed: int) -> tuple[str, ...]:
        # Seeded by the item, so that an item's candidates do not depend on which other items are asked before it.
        generator = random.Random(digest([seed, item.id, target]))
        others = [candidate for candidate in distinct if candidate != target]
        own = [target, *generator.sample(others, min(self.kind.num_candidates - 1, len(others)))]
        generator.shuffle(own)
        return tuple(own)

    def conditions(self, task: Task, items: Sequence[Item], seed: int) -> Conditions:
        """Return the usual conditions, with the reference media that mutual information is measured against."""
        references = load_items(task, task.reference, task.num_references, seed).items if task.reference else ()
        groups = [item.options for item in items] if self._is_grouped else None
        return usual_conditions(task, items, seed, references, groups)

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return how the candidates were chosen, their number, and the source of the reference media."""
        numbers = sorted({len(item.options) for item in items})
        span = "-".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
        settings = {"candidates": f"{self.kind.candidates}, {span}"}
        if self.kind.own_key is not None:
            settings["right_by"] = self.kind.right_by
        if self._is_grouped:  # other items make other groups: results with others are not compared
            groups = sorted({item.options for item in items})
            settings["groups"] = f"{len(groups)}, {digest(groups)[:12]}"
            settings[SHUFFLED] = f"{SHUFFLED_WITHIN_CONTROL}, mean of {task.num_shuffles}"
        if self.kind.templates:
            settings["templates"] = f"{len(self.kind.templates)}, which a language model is not shown"
        if REFERENCE in conditions.prefixes:
            settings["pmi_reference"] = f"{len(conditions.prefixes[REFERENCE][0])} of {task.reference}"
        return settings

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for every option in every condition."""
        for condition in plan.conditions.values():
            for item, prefixes in zip(plan.items, condition, strict=True):
                for prefix in prefixes:
                    requests.score(prefix, item.options)

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return the likelihoods of the options of each item, with the base of its mutual information."""
        bases = {index: _base(plan, index, answers, REFERENCE) for index in kept}
        told = {index: _base(plan, index, answers, BRIDGE_REFERENCE) for index in kept}
        lengths: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}  # classes are the same for all items
        found: dict[str, dict[int, ChoiceAnswer]] = {}
        for name, condition in plan.conditions.items():
            if name in (REFERENCE, BRIDGE_REFERENCE):
                continue
            found[name] = {}
            for index in kept:
                item, base = plan.items[index], (told if name == BRIDGE else bases)[index]
                shown = [answers.likelihoods(prefix, item.options) for prefix in condition[index]]
                answered = [scores for scores in shown if scores is not None]
                if answered and base.scores is not None:
                    if item.options not in lengths:
                        num_bytes = [answers.num_bytes(option) for option in item.options]
                        lengths[item.options] = ([answers.num_tokens[option] for option in item.options], num_bytes)
                    num_tokens, num_bytes = lengths[item.options]
                    is_base = name == BLANK == base.condition
                    found[name][index] = self.answer_type(
                        item, answered, base.scores, num_tokens, is_base, num_bytes=num_bytes
                    )
        replaced = next((base.reason for base in bases.values() if base.reason), None)
        return Collected(found, {REFERENCE: replaced} if replaced else {})


def _as_answers(task: Task, loaded: LoadedItems) -> LoadedItems:
    """The items with their options as the model is to say them."""
    if task.answer_form == "{answer}":
        return loaded
    in_form: dict[tuple[str, ...], tuple[str, ...]] = {}
    for options in {item.options for item in loaded.items}:
        in_form[options] = tuple(answer_text(task.answer_form, option, index) for index, option in enumerate(options))
    return replace(loaded, items=tuple(replace(item, options=in_form[item.options]) for item in loaded.items))


@dataclass(frozen=True)
class _Base:
    """log p(c | prompt) of the options of an item, the condition that it was measured in, and why in no other one."""

    scores: list[float] | None
    condition: str
    reason: str = ""


def _base(plan: Plan, index: int, answers: Answers, reference: str) -> _Base:
    """Return the mean likelihood over the reference media if there are any, else the one without media."""
    options = plan.items[index].options
    blank = answers.likelihoods(plan.conditions[BLANK][index][0], options)
    prefixes = plan.conditions[reference][index] if reference in plan.conditions else []
    if not prefixes:
        return _Base(blank, BLANK)
    found = [answers.likelihoods(prefix, options) for prefix in prefixes]
    answered = np.asarray([scores for scores in found if scores is not None])
    if not len(answered):
        return _Base(blank, BLANK, f"measured against no media instead: {answers.failed[prefixes[0].key]}")
    failed = [answers.failed[prefix.key] for prefix in prefixes if prefix.key in answers.failed]
    reason = f"without {len(failed)} of {len(prefixes)} media, the first: {failed[0]}" if failed else ""
    mean = np.logaddexp.reduce(answered, axis=0) - np.log(len(answered))
    return _Base(mean.tolist(), reference, reason)
