"""Run tasks on a model: plan all, ask everything once, then score each."""

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.run.ask import Answers, ask, count_answer_tokens
from eval.run.cache import AnswerCache
from eval.run.plan import add_requests, plan_task
from eval.run.probe import run_probe
from eval.run.requests import Requests
from eval.run.results import RunResult, TaskResult, not_computed
from eval.run.task_scores import Plan, keep_answered, score_choice, score_match, score_texts
from eval.task import Choose, Match, Task
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
) -> RunResult:
    """Evaluate a model on tasks.

    A task that cannot run (a modality or its data is missing) is in the results as `not computed` with the reason.

    Args:
        suite: a name for the results.
        cache_path: file of the answer cache; None = answers are not kept.
        limit: at most so many items a task.
        batch_size: prefixes in one call of the model; changes the speed, not the scores.
        seed: of shuffles, sampled candidates, samples of items and bootstrap.
        probes: whether to compute linear probes.

    Raises:
        ValueError: `limit` or `batch_size` is below 1, or two tasks have the same name.
        RuntimeError: the model could not answer anything.
    """
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
    for task in tasks:
        plan = _try_plan(model, task, limit, seed)
        if isinstance(plan, TaskResult):
            results[task.name] = plan
        else:
            plans.append(plan)
            add_requests(plan, requests)
    with AnswerCache(cache_path, model.fingerprint()) as cache:
        answers = ask(model, requests, cache, batch_size=batch_size, progress=progress)
        for plan in plans:
            results[plan.task.name] = _score(model, plan, answers)
            _add_probe(model, plan, cache, enabled=probes, progress=progress)
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
        },
    )


def missing_modalities(model: OmniModel, task: Task) -> list[str]:
    """The modalities that a task shows and the model does not take."""
    return [modality for modality in task.modalities if modality not in model.modalities]


def missing_modality_message(model: OmniModel, task: Task) -> str:
    """One sentence about what a task needs and what the model has."""
    missing = " and ".join(missing_modalities(model, task))
    has = ", ".join(sorted(model.modalities)) or "none"
    return (
        f"task {task.name} needs {missing}, and this model takes {has}; train an adapter for {missing} and give both "
        "as --model NAME=DIR NAME=DIR"
    )


def _try_plan(model: OmniModel, task: Task, limit: int | None, seed: int) -> Plan | TaskResult:
    if missing_modalities(model, task):
        reason = missing_modality_message(model, task)
    else:
        try:
            return plan_task(task, limit=limit, seed=seed)
        except (ValueError, OSError) as error:
            reason = str(error)
    return not_computed(task.name, task.version, task.description, task.scorer, reason)


def _score(model: OmniModel, plan: Plan, answers: Answers) -> TaskResult:
    keep_answered(plan, answers)
    result = plan.result
    result.num_items = len(plan.kept)
    if not plan.kept:
        reason = f"no item could be answered; the first: {result.bad[0]['id']}: {result.bad[0]['reason']}"
        failed = not_computed(result.name, result.version, result.description, result.scorer, reason)
        failed.bad, failed.num_rows = result.bad, result.num_rows
        return failed
    if isinstance(plan.task.kind, Choose):
        count = functools.cache(functools.partial(count_answer_tokens, model))
        score_choice(plan, answers, count)
    elif isinstance(plan.task.kind, Match):
        score_match(plan, answers)
    else:
        score_texts(plan, answers)
    return result


def _add_probe(model: OmniModel, plan: Plan, cache: AnswerCache, *, enabled: bool, progress: bool) -> None:
    result, task = plan.result, plan.task
    if result.status != "computed" or not plan.kept:
        return
    if task.probe is None:
        result.not_computed["probe"] = task.no_probe
        return
    if not enabled:
        result.not_computed["probe"] = "switched off for this run"
        return
    try:
        items = [plan.items[index] for index in plan.kept]
        result.probe = run_probe(model, task, items, cache, seed=plan.seed, progress=progress)
        result.settings["probe"] = f"ridge classifier, at most {task.probe.limit} items of {task.probe.data}"
    except (ValueError, OSError) as error:
        result.not_computed["probe"] = str(error)


def describe_model(model: OmniModel, fingerprint: str) -> dict[str, Any]:
    """What the results say about the model: its fingerprint and the classes of its parts."""
    parts = {
        name: f"{modality.encoder.class_name} + {type(modality.adapter).__name__}"
        for name, modality in ((name, model.modality(name)) for name in model.modalities)
    }
    return {"fingerprint": fingerprint, "modalities": parts}
