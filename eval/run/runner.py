"""Run tasks on a model: plan all of them, ask everything once, then build the result of each."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from eval.items.conditions import OWN
from eval.items.item import Item
from eval.run.answers import Answers
from eval.run.ask import ask
from eval.run.cache import AnswerCache
from eval.run.kinds import procedure_of
from eval.run.outcome import ProbeOutcome, answered_items, task_result
from eval.run.plan import Plan
from eval.run.planning import plan_task
from eval.run.pooled import likeness_of
from eval.run.probe import run_probe
from eval.run.processes import OneProcess, Processes
from eval.run.requests import Requests
from eval.run.results import RunResult, TaskResult, not_computed
from eval.run.timing import speed_settings
from eval.task import Task
from omni.model import OmniModel


def evaluate(
    model: OmniModel,
    tasks: Sequence[Task],
    *,
    suite: str = "",
    cache_path: Path | None = None,
    limit: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    probes: bool = True,
    progress: bool = True,
    processes: Processes | None = None,
) -> RunResult:
    """Evaluate a model on tasks.

    A task that cannot run (a modality or its data is missing) is in the results as `not computed` with the reason.

    Args:
        suite: a name for the results.
        cache_path: file of the answer cache; None = answers are not kept.
        limit: the most items of a task.
        batch_size: prefixes in one call of the model; changes the speed, not the scores.
        seed: seed of shuffles, sampled candidates, samples of items and bootstrap.
        probes: whether to compute linear probes.
        processes: those that share the questions, of which this is the first one; the others call `help_asking`.

    Raises:
        ValueError: `limit` or `batch_size` is below 1, two tasks have the same name, or a scorer breaks its contract.
        NothingAnsweredError: the model could not answer anything.
        ProcessLostError: another process has ended.
    """
    processes = processes or OneProcess()
    if (limit is not None and limit < 1) or batch_size < 1:
        raise ValueError(f"limit and batch_size must be at least 1; got limit={limit}, batch_size={batch_size}")
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"tasks must have different names; got {names}")
    start = time.perf_counter()
    model.eval()
    results: dict[str, TaskResult] = {}
    plans: list[Plan] = []
    requests = Requests()
    with AnswerCache(cache_path, model.fingerprint()) as cache:
        cache.take_in_others()
        for task in tasks:
            try:
                _check_modalities(model, task)
                likeness = partial(likeness_of, model, task.modalities, cache=cache)
                plan = plan_task(task, limit=limit, seed=seed, likeness=likeness)
                procedure_of(task.kind).add_requests(plan, requests)
            except (ValueError, OSError) as error:
                results[task.name] = not_computed(task.name, task.version, task.description, task.scorer, str(error))
            else:
                plans.append(plan)
        answers = ask(model, requests, cache, batch_size=batch_size, progress=progress, processes=processes)
        for plan in plans:
            items = [plan.items[index] for index in answered_items(plan, answers)]
            probe = _probe(model, plan, items, cache, enabled=probes, progress=progress)
            results[plan.task.name] = task_result(plan, answers, probe)
        description = describe_model(model, cache.fingerprint)
    return RunResult(
        suite,
        description,
        [results[name] for name in names],
        {
            "seed": seed,
            "limit": limit,
            "batch_size": batch_size,
            "answers_asked": answers.num_asked,
            "answers_from_cache": answers.num_cached,
            "seconds": round(time.perf_counter() - start, 1),
            **({"processes": processes.count} if processes.count > 1 else {}),
            **speed_settings(answers.seconds, sum(_num_asked(plan, answers) for plan in plans)),
        },
    )


def _num_asked(plan: Plan, answers: Answers) -> int:
    """The items of a task that the model was asked about now, with their own media."""
    return sum(any(prefix.key in answers.asked for prefix in prefixes) for prefixes in plan.conditions[OWN])


def missing_modalities(model: OmniModel, task: Task) -> list[str]:
    """Return the modalities that a task shows and the model does not take."""
    return [modality for modality in task.modalities if modality not in model.modalities]


def missing_modality_message(model: OmniModel, task: Task) -> str:
    """Return one sentence about what a task needs and what the model has."""
    missing = " and ".join(missing_modalities(model, task))
    has = ", ".join(sorted(model.modalities)) or "none"
    return (
        f"task {task.name} needs {missing}, and this model takes {has}; train an adapter for {missing} and give both "
        "as --model NAME=DIR NAME=DIR"
    )


def _check_modalities(model: OmniModel, task: Task) -> None:
    if missing_modalities(model, task):
        raise ValueError(missing_modality_message(model, task))


def _probe(
    model: OmniModel, plan: Plan, items: Sequence[Item], cache: AnswerCache, *, enabled: bool, progress: bool
) -> ProbeOutcome:
    """Probe the items that could be answered, unless there is no probe, no item, or no wish for one."""
    task = plan.task
    if task.probe is None:
        return ProbeOutcome(reason=task.no_probe)
    if not enabled:
        return ProbeOutcome(reason="switched off for this run")
    if not items:
        return ProbeOutcome(reason="no item could be answered")
    try:
        estimate = run_probe(model, task, items, cache, seed=plan.seed, progress=progress)
    except (ValueError, OSError) as error:
        return ProbeOutcome(reason=str(error))
    return ProbeOutcome(estimate, f"ridge classifier, at most {task.probe.limit} items of {task.probe.data}")


def describe_model(model: OmniModel, fingerprint: str) -> dict[str, Any]:
    """Return what the results say about the model: its fingerprint and the classes of its parts."""
    parts = {
        name: f"{modality.encoder.class_name} + {type(modality.adapter).__name__}"
        for name, modality in ((name, model.modality(name)) for name in model.modalities)
    }
    return {"fingerprint": fingerprint, "modalities": parts}
