"""Run tasks on a model: plan all of them, ask everything once, then build the result of each."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from eval.items.conditions import OWN
from eval.items.item import Item
from eval.run.answers import Answers
from eval.run.ask import ask
from eval.run.baselines.bridge import with_bridge
from eval.run.baselines.linear_map import LinearMapOutcome, run_linear_map
from eval.run.baselines.sentences import STARTER_ENCODER, SentenceEncoder
from eval.run.by_similarity import for_space
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
from eval.run.space import KIND, Respondent, SpaceRespondent, ask_space
from eval.run.standing_in import stand_ins_of
from eval.run.timing import speed_settings
from eval.task import Style, Task
from omni.model import OmniModel


def evaluate(
    model: Respondent,
    tasks: Sequence[Task],
    *,
    suite: str = "",
    cache_path: Path | None = None,
    limit: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    probes: bool = True,
    linear_maps: bool = True,
    bridges: bool = True,
    text_encoder: str = STARTER_ENCODER,
    progress: bool = True,
    style: Style | None = None,
    processes: Processes | None = None,
) -> RunResult:
    """Evaluate a model on tasks.

    A task that cannot run (a modality or its data is missing) is in the results as `not computed` with the reason.

    Args:
        model: an `OmniModel`, or a joint space as a `SpaceRespondent`, which answers by similarity.
        suite: a name for the results.
        cache_path: file of the answer cache; None = answers are not kept.
        limit: the most items of a task.
        batch_size: prefixes in one call of the model; changes the speed, not the scores.
        seed: seed of shuffles, sampled candidates, samples of items and bootstrap.
        probes: whether to compute linear probes.
        style: how tasks with two wordings ask; None = `chat` for an LLM with a chat template, else `plain`.
        linear_maps: whether to compute linear maps.
        bridges: whether to ask with an encoder's labels as text in place of the media.
        text_encoder: the sentence encoder of the linear maps: hub id, folder or `starter:NAME`.
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
    style = style or style_of(model)
    tasks = [task.styled(style) for task in tasks]
    model.eval()
    if model.language_model is None:
        tasks = [for_space(task, model.modalities) for task in tasks]
    results: dict[str, TaskResult] = {}
    plans: list[Plan] = []
    requests = Requests()
    sentences = SentenceEncoder(text_encoder, model.device)
    with AnswerCache(cache_path, model.fingerprint()) as cache:
        cache.take_in_others()
        for task in tasks:
            try:
                _check_modalities(model, task)
                procedure = procedure_of(task.kind)
                if procedure.reads_features:
                    results[task.name] = procedure.measure(
                        model, task, cache, limit=limit, seed=seed, progress=progress
                    )
                    continue
                likeness = partial(likeness_of, model, task.modalities, cache=cache)
                stand_ins = partial(stand_ins_of, model, task.modalities, cache=cache)
                plan = plan_task(task, limit=limit, seed=seed, likeness=likeness, stand_ins=stand_ins)
                plan = with_bridge(model, plan, cache, enabled=bridges)
                procedure.add_requests(plan, requests)
            except (ValueError, OSError) as error:
                results[task.name] = not_computed(task.name, task.version, task.description, task.scorer, str(error))
            else:
                plans.append(plan)
        answers = _answers(model, requests, cache, batch_size, progress, processes)
        for plan in plans:
            kept = answered_items(plan, answers)
            items = [plan.items[index] for index in kept]
            probe = _probe(model, plan, items, cache, enabled=probes, progress=progress)
            linear_map = _linear_map(model, plan, kept, cache, sentences, enabled=linear_maps, progress=progress)
            results[plan.task.name] = task_result(plan, answers, probe, linear_map)
        description = describe_model(model, cache.fingerprint)
    return RunResult(
        suite,
        description,
        [results[name] for name in names],
        {
            "seed": seed,
            "limit": limit,
            "batch_size": batch_size,
            "style": style,
            "answers_asked": answers.num_asked,
            "answers_from_cache": answers.num_cached,
            "seconds": round(time.perf_counter() - start, 1),
            **({"processes": processes.count} if processes.count > 1 else {}),
            **speed_settings(answers.seconds, sum(_num_asked(plan, answers) for plan in plans)),
        },
    )


def _answers(
    model: Respondent, requests: Requests, cache: AnswerCache, batch_size: int, progress: bool, processes: Processes
) -> Answers:
    if model.language_model is None:
        return ask_space(cast(SpaceRespondent, model), requests, cache, batch_size=batch_size, progress=progress)
    return ask(cast(OmniModel, model), requests, cache, batch_size=batch_size, progress=progress, processes=processes)


def style_of(model: Respondent) -> Style:
    """Return how tasks with two wordings ask: `plain` of an LLM without a chat template, else `chat`."""
    llm = model.language_model
    return "chat" if llm is None or llm.tokenizer.chat_template else "plain"


def _num_asked(plan: Plan, answers: Answers) -> int:
    """The items of a task that the model was asked about now, with their own media."""
    return sum(any(prefix.key in answers.asked for prefix in prefixes) for prefixes in plan.conditions[OWN])


def missing_modalities(model: Respondent, task: Task) -> list[str]:
    """Return the modalities that a task shows and the model does not take."""
    return [modality for modality in task.modalities if modality not in model.modalities]


def missing_modality_message(model: Respondent, task: Task) -> str:
    """Return one sentence about what a task needs and what the model has."""
    missing = " and ".join(missing_modalities(model, task))
    has = ", ".join(sorted(model.modalities)) or "none"
    if model.language_model is None:
        return f"task {task.name} needs {missing}, and this joint space has {has}"
    return (
        f"task {task.name} needs {missing}, and this model takes {has}; train an adapter for {missing} and give both "
        "as --model NAME=DIR NAME=DIR"
    )


def _check_modalities(model: Respondent, task: Task) -> None:
    if model.language_model is not None and procedure_of(task.kind).compares_embeddings:
        raise ValueError(
            f"task {task.name} compares embeddings, and this model has no joint space; give --model the folder of one "
            "(docs/joint_space.md)"
        )
    if missing_modalities(model, task):
        raise ValueError(missing_modality_message(model, task))


def _probe(
    model: Respondent, plan: Plan, items: Sequence[Item], cache: AnswerCache, *, enabled: bool, progress: bool
) -> ProbeOutcome:
    """Probe the items that could be answered, unless there is no probe, no item, or no wish for one."""
    task = plan.task
    if task.probe is None:
        return ProbeOutcome(reason=task.no_probe or task.kind.why_no_probe())
    if not enabled:
        return ProbeOutcome(reason="switched off for this run")
    if not items:
        return ProbeOutcome(reason="no item could be answered")
    try:
        estimate = run_probe(model, task, items, cache, seed=plan.seed, progress=progress)
    except (ValueError, OSError) as error:
        return ProbeOutcome(reason=str(error))
    return ProbeOutcome(estimate, f"ridge classifier, at most {task.probe.limit} items of {task.probe.data}")


def _linear_map(
    model: Respondent,
    plan: Plan,
    kept: Sequence[int],
    cache: AnswerCache,
    sentences: SentenceEncoder,
    *,
    enabled: bool,
    progress: bool,
) -> LinearMapOutcome:
    """Rank the options of the items that could be answered by the linear map, unless there is none."""
    if not enabled:
        return LinearMapOutcome(reason="switched off for this run")
    if not kept:
        return LinearMapOutcome(reason="no item could be answered")
    try:
        return run_linear_map(model, plan, kept, cache, sentences, progress=progress)
    except (ValueError, OSError) as error:
        return LinearMapOutcome(reason=str(error))


def describe_model(model: Respondent, fingerprint: str) -> dict[str, Any]:
    """Return what the results say about the model: its fingerprint and the classes of its parts."""
    parts = {
        name: f"{modality.encoder.class_name} + {type(modality.trained_part).__name__}"
        for name, modality in ((name, model.modality(name)) for name in model.modalities)
    }
    kind = {"kind": KIND} if model.language_model is None else {}
    return {"fingerprint": fingerprint, "modalities": parts, **kind}
