"""Plan a task: read its items, lay out their conditions, and note everything that the figures will depend on."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from eval.data.opening import split_of
from eval.items.conditions import BLANK, SHUFFLED
from eval.items.controls import BLANK_CONTROL, SHUFFLED_CONTROL
from eval.items.further_conditions import StandIns, further_conditions
from eval.items.item import Item
from eval.items.loading import LoadedItems, load_items
from eval.items.shots import Likeness, with_shots
from eval.run.kinds import procedure_of, with_bad
from eval.run.plan import Plan
from eval.scorers import get_scorer
from eval.task import OFFICIAL, Task


def plan_task(
    task: Task,
    *,
    limit: int | None,
    seed: int,
    likeness: Likeness | None = None,
    stand_ins: StandIns | None = None,
) -> Plan:
    """Read a task's items and lay out what is to be asked.

    likeness: which examples are near, for a task whose shots are the nearest ones.
    stand_ins: which examples' media stand in for missing ones, for a task that predicts these.

    Raises:
        ValueError: the task's parts do not fit each other or its data, with what to change.
        FileNotFoundError: its data is not there.
    """
    procedure, scorer = procedure_of(task.kind), get_scorer(task.scorer)
    if procedure.answer_type not in scorer.takes:
        raise ValueError(f"task {task.name!r}: scorer {task.scorer!r} does not score {type(task.kind).__name__}")
    limits = [number for number in (limit, task.limit) if number is not None]
    loaded = load_items(task, task.data, min(limits) if limits else None, seed)
    prepared = _prepared(task, loaded, seed)
    if not prepared.items:
        rows = (*prepared.bad, *prepared.origin.left_out)
        reasons = "; ".join(f"{item.id}: {item.reason}" for item in rows[:3]) or "the data has no rows"
        count = f"all {len(prepared.bad)} rows that were read are bad: " if prepared.bad else ""
        raise ValueError(f"task {task.name!r}: no usable item in {task.data} ({count}{reasons})")
    items = prepared.items
    if task.shots:
        items = _with_shots(task, items, seed, likeness)
    conditions = procedure.conditions(task, items, seed)
    examples = load_items(task, task.reference, None, seed).items if task.reference and task.fill == "predict" else ()
    further, gaps = further_conditions(task, items, seed, examples, stand_ins)
    settings = _common_settings(task, items, seed, prepared.num_rows) | procedure.settings(task, items, conditions)
    return Plan(
        task=task,
        scorer=scorer,
        chance=scorer.chance(items),  # here a scorer refuses items that it cannot score, before the model is asked
        items=items,
        conditions={**conditions.prefixes, **further},
        not_computed={**conditions.not_computed, **gaps},
        bad=prepared.bad,
        num_rows=prepared.num_rows,
        settings=settings,
        seed=seed,
        further=tuple(further),
        origin=prepared.origin,
    )


def _with_shots(task: Task, items: Sequence[Item], seed: int, likeness: Likeness | None) -> tuple[Item, ...]:
    assert task.shots_from is not None
    loaded = load_items(task, task.shots_from, None, seed)
    examples = _prepared(task, loaded, seed).items
    if task.shots_by == "random":
        likeness = None
    elif likeness is None:
        raise ValueError(f"task {task.name!r}: the nearest examples are found by a model's encoders; none is given")
    return with_shots(items, examples, task.shots, seed=seed, likeness=likeness)


def _prepared(task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
    """Return the items as they are asked about, without those of which only one of two equal options would be right."""
    procedure = procedure_of(task.kind)
    loaded = procedure.prepare(task, loaded, seed)
    if procedure.may_repeat_options:
        return loaded
    bad = {}
    for index, item in enumerate(loaded.items):
        repeated = [option for option, count in Counter(item.options).items() if count > 1]
        if repeated:
            bad[index] = f"offers {repeated[0]!r} more than once"
    return with_bad(loaded, bad)


def _official(task: Task) -> dict[str, Any]:
    """The official number of items, where a benchmark's files have one that is known."""
    if not task.data.startswith(OFFICIAL):
        return {}
    number = split_of(task.data)[2].num_items
    return {} if number is None else {"official_items": number}


def _blanks(items: Sequence[Item]) -> dict[str, Any]:
    """How many items have blank answers among theirs, if any."""
    number = sum(item.num_blank > 0 for item in items)
    what = "blank answers of annotators, which VQA accuracy counts as answers and all other scorers leave out"
    return {"blank_answers": f"{number} items have {what}"} if number else {}


def _common_settings(task: Task, items: Sequence[Item], seed: int, num_rows: int) -> dict[str, Any]:
    return {
        "data": task.data,
        **_official(task),
        "prompt": task.prompt,
        **_blanks(items),
        **({"shots": f"{task.shots} of {task.shots_from}, {task.shots_by}"} if task.shots else {}),
        **({"post_prompt": task.post_prompt} if task.post_prompt else {}),
        **({"answer_form": task.answer_form} if task.answer_form != "{answer}" else {}),
        "modalities": list(task.modalities),
        **(
            {"media_options": {key: dict(value) for key, value in task.media_options.items()}}
            if task.media_options
            else {}
        ),
        "kind": type(task.kind).__name__.lower(),
        "seed": seed,
        "items_used": f"{len(items)} of {num_rows}",
        BLANK: BLANK_CONTROL,
        SHUFFLED: f"{SHUFFLED_CONTROL}, mean of {task.num_shuffles}" if task.num_shuffles > 1 else SHUFFLED_CONTROL,
    }
