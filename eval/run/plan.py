"""Plan a task: its items, the candidates of each, its conditions, and the requests that these need."""

import random
from collections.abc import Sequence

from eval.run.conditions import BLANK, MISMATCHED, OWN, SHUFFLED, SHUFFLED_MISMATCHED, build_conditions
from eval.run.controls import BLANK_CONTROL, SHUFFLED_CONTROL
from eval.run.items import BadItem, Item, LoadedItems, load_items
from eval.run.requests import Requests, digest
from eval.run.results import TaskResult
from eval.run.task_scores import Plan
from eval.scorers.scorers import ChoiceScorer, MatchScorer, TextScorer, get_scorer
from eval.task import Choose, Generate, Match, Task

_SCORER_OF_KIND = {Choose: ChoiceScorer, Match: MatchScorer, Generate: TextScorer}


def plan_task(task: Task, *, limit: int | None, seed: int) -> Plan:
    """Read a task's items and lay out what is to be asked.

    Raises:
        ValueError: the task's parts do not fit each other or its data, with what to change.
        FileNotFoundError: its data is not there.
    """
    if not isinstance(get_scorer(task.scorer), _SCORER_OF_KIND[type(task.kind)]):
        raise ValueError(f"task {task.name!r}: scorer {task.scorer!r} does not score {type(task.kind).__name__}")
    limits = [number for number in (limit, task.limit) if number is not None]
    loaded = load_items(task, task.data, min(limits) if limits else None, seed)
    _drop_unknown_labels(task, loaded)
    if not loaded.items:
        reasons = "; ".join(f"{item.id}: {item.reason}" for item in loaded.bad[:3]) or "the data has no rows"
        raise ValueError(f"task {task.name!r}: no usable item in {task.data} ({reasons})")
    items = loaded.items
    candidates, right = build_candidates(task, items, seed)
    references = load_items(task, task.reference, task.num_references, seed).items if task.reference else []
    conditions, not_computed = build_conditions(task, items, seed, references)
    result = TaskResult(task.name, task.version, task.description, task.scorer, metric="")
    result.num_items, result.num_rows = len(items), loaded.num_rows
    result.bad = [{"id": item.id, "reason": item.reason} for item in loaded.bad]
    result.not_computed = not_computed
    plan = Plan(task, items, conditions, candidates, right, seed, result)
    result.chance = chance_level(task, candidates)
    result.settings = _settings(task, candidates, seed, loaded)
    if references:
        result.settings["pmi_reference"] = f"{len(references)} of {task.reference}"
    return plan


def _drop_unknown_labels(task: Task, loaded: LoadedItems) -> None:
    """Where labels are declared, an item with another label cannot be right or wrong: it is bad, and named."""
    if not isinstance(task.kind, Choose) or not task.kind.labels:
        return
    for item in [item for item in loaded.items if item.target not in task.kind.labels]:
        loaded.items.remove(item)
        allowed = ", ".join(task.kind.labels)
        loaded.bad.append(BadItem(item.id, f"has the label {item.target!r}, which is none of {allowed}"))


def build_candidates(task: Task, items: Sequence[Item], seed: int) -> tuple[list[list[str]], list[int]]:
    """The candidates of each item in a fixed order, and where the right one stands."""
    if not isinstance(task.kind, Choose):
        return [[] for _ in items], [0 for _ in items]
    targets = [task.kind.labels.get(item.target, item.target) for item in items]
    distinct = list(dict.fromkeys(task.kind.labels.values() or sorted(targets)))
    if len(distinct) < 2:
        raise ValueError(f"task {task.name!r} needs at least two different answers to choose from; found {distinct}")
    if task.kind.candidates != "sampled":
        return [distinct for _ in items], [distinct.index(target) for target in targets]
    candidates = [
        _sample(distinct, target, item, task.kind.num_candidates, seed)
        for item, target in zip(items, targets, strict=True)
    ]
    return candidates, [own.index(target) for own, target in zip(candidates, targets, strict=True)]


def _sample(distinct: Sequence[str], target: str, item: Item, number: int, seed: int) -> list[str]:
    # Seeded by the item, so that an item's candidates do not depend on which other items are asked before it.
    generator = random.Random(digest([seed, item.id, target]))
    others = [candidate for candidate in distinct if candidate != target]
    own = [target, *generator.sample(others, min(number - 1, len(others)))]
    generator.shuffle(own)
    return own


def chance_level(task: Task, candidates: Sequence[Sequence[str]]) -> float | None:
    """What guessing gives on average: one in the number of candidates, a half in a comparison, None for text."""
    if isinstance(task.kind, Choose):
        return sum(1 / len(own) for own in candidates) / len(candidates)
    return 0.5 if isinstance(task.kind, Match) else None


def add_requests(plan: Plan, requests: Requests) -> None:
    """Add what the plan needs answered; requests that are there already are shared."""
    kind = plan.task.kind
    for name, condition in plan.conditions.items():
        for index, prefixes in enumerate(condition):
            for prefix in prefixes:
                if isinstance(kind, Choose):
                    requests.score(prefix, plan.candidates[index])
                elif isinstance(kind, Generate):
                    requests.generate(prefix, kind.settings)
                elif name in (OWN, SHUFFLED, MISMATCHED, SHUFFLED_MISMATCHED):
                    requests.score(prefix, [plan.items[index].target])


def _settings(task: Task, candidates: Sequence[Sequence[str]], seed: int, loaded: LoadedItems) -> dict[str, object]:
    settings: dict[str, object] = {
        "data": task.data,
        "prompt": task.prompt,
        "modalities": list(task.modalities),
        "kind": type(task.kind).__name__.lower(),
        "seed": seed,
        "items_used": f"{len(loaded.items)} of {loaded.num_rows}",
        BLANK: BLANK_CONTROL,
        SHUFFLED: f"{SHUFFLED_CONTROL}, mean of {task.num_shuffles}" if task.num_shuffles > 1 else SHUFFLED_CONTROL,
    }
    if isinstance(task.kind, Choose):
        numbers = sorted({len(own) for own in candidates})
        settings["candidates"] = (
            f"{task.kind.candidates}, {'-'.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))}"
        )
    if isinstance(task.kind, Generate):
        settings["generation"] = task.kind.settings
    return settings
