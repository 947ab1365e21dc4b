"""Results in the form of lm-evaluation-harness (`lm_eval/result_schema.py` and its `EvaluationTracker`, 0.4.13).

The primary metric of a choice is `acc`. A metric key is `METRIC,FILTER`; `none` is the filter of the items' own media,
and controls and baselines stand under filters of their own (`acc,shuffled`, `acc,linear_map`). `results.json` keeps the
answer to each item rather than the likelihoods of all candidates, so a sample's response is the text that was chosen.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from eval.report.words import higher_is_better
from eval.run.results import ItemAnswer, RunResult, TaskResult
from eval.statistics.intervals import Estimate, clustered_standard_error
from omni.runtime.files import write_atomically

FILTER = "none"
NO_ERROR = "N/A"  # what the harness writes for a metric without a standard error


def export_lm_eval(run: RunResult, folder: Path, written: datetime) -> list[Path]:
    """Write `results_DATE.json` and a `samples_TASK_DATE.jsonl` for each task into `folder/MODEL`; return their paths.

    Args:
        run: the results; tasks that could not be computed are left out.
        folder: where the model's folder is made.
        written: the time of the evaluation.
    """
    date = written.replace(tzinfo=None).isoformat().replace(":", "-")
    place = folder / sanitized(model_name(run))
    place.mkdir(parents=True, exist_ok=True)
    samples = {task.name: samples_of(task) for task in _computed(run)}
    paths = [place / f"results_{date}.json"]
    write_atomically(paths[0], _json(results_of(run, samples, written), indent=2) + "\n")
    for name, rows in samples.items():
        paths.append(place / f"samples_{sanitized(name)}_{date}.jsonl")
        write_atomically(paths[-1], "".join(_json(row) + "\n" for row in rows))
    return paths


def results_of(run: RunResult, samples: Mapping[str, list[dict[str, Any]]], written: datetime) -> dict[str, Any]:
    """Return the content of `results_DATE.json`."""
    tasks = _computed(run)
    name = model_name(run)
    return {
        "results": {task.name: metrics_of(task) for task in tasks},
        "group_subtasks": {task.name: [] for task in tasks},
        "configs": {task.name: _task_config(task) for task in tasks},
        "versions": {task.name: task.version for task in tasks},
        "n-shot": {task.name: _shots(task) for task in tasks},
        "higher_is_better": {
            task.name: {_exported(task, metric): higher_is_better(metric) for metric in task.scores["own"]}
            for task in tasks
        },
        "n-samples": {task.name: {"original": task.num_rows, "effective": task.num_items} for task in tasks},
        "config": {
            "model": "omni",
            "model_args": name,
            "model_sha": run.model.get("fingerprint", ""),
            "batch_size": str(run.settings.get("batch_size", "")),
            "limit": run.settings.get("limit"),
            "random_seed": run.settings.get("seed"),
        },
        "git_hash": None,
        "date": written.timestamp(),
        "task_hashes": {
            task: hash_string("".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows))
            for task, rows in samples.items()
        },
        "model_source": "omni",
        "model_name": name,
        "model_name_sanitized": sanitized(name),
        "total_evaluation_time_seconds": str(run.settings.get("seconds", "")),
    }


def metrics_of(task: TaskResult) -> dict[str, Any]:
    """Return the entry of a task in `results`, with the standard error where items have values."""
    found: dict[str, Any] = {"name": task.name, "alias": task.name, "sample_len": task.num_items}
    for metric, estimate in task.scores["own"].items():
        found |= _entry(_exported(task, metric), FILTER, estimate, _standard_error(task, metric))
    primary = _exported(task, task.metric)
    for condition in task.scores:
        estimate = task.estimate(condition)
        if condition != "own" and estimate is not None:
            found |= _entry(primary, condition.replace("-", "_"), estimate)
    for name, estimate in (("linear_map", task.linear_map), ("probe", task.probe)):
        if estimate is not None:
            found |= _entry(primary, name, estimate)
    if task.chance is not None:
        found[f"{primary},chance"] = task.chance
    return found


def samples_of(task: TaskResult) -> list[dict[str, Any]]:
    """Return a row of `samples_TASK_DATE.jsonl` for each item."""
    return [_sample(task, number, item) for number, item in enumerate(task.items)]


def _sample(task: TaskResult, number: int, item: ItemAnswer) -> dict[str, Any]:
    doc = {"id": item.id, "media": item.media, "question": item.question, "target": item.target, "top": item.top}
    metric = _exported(task, task.metric)
    return {
        "doc_id": number,
        "doc": doc,
        "target": item.target,
        "arguments": {"gen_args_0": {"arg_0": item.question, "arg_1": {}}},
        "resps": [[item.answer]],
        "filtered_resps": [item.answer],
        "filter": FILTER,
        "metrics": [metric] if task.has_item_values else [],
        "doc_hash": hash_string(_json(doc, indent=2)),
        "prompt_hash": hash_string(item.question),
        "target_hash": hash_string(item.target),
        **({metric: item.right} if task.has_item_values else {}),
    }


def hash_string(text: str) -> str:
    """Return the SHA-256 of a text, as the harness hashes documents, prompts and targets."""
    return hashlib.sha256(text.encode()).hexdigest()


def sanitized(name: str) -> str:
    """Return a name for a file: two underscores in place of what file systems do not take, as the harness writes it."""
    return re.sub(r"[\"<>:/\|\\?\*\[\]]+", "__", name)


def model_name(run: RunResult) -> str:
    """Return the folders that the model was loaded from, else its fingerprint."""
    sources: Sequence[Any] = run.model.get("from") or [f"omni-{str(run.model.get('fingerprint', ''))[:12]}"]
    return ",".join(map(str, sources))


def _computed(run: RunResult) -> list[TaskResult]:
    return [task for task in run.tasks if task.status == "computed"]


def _exported(task: TaskResult, metric: str) -> str:
    return "acc" if metric == task.metric and metric.startswith("accuracy") else metric


def _entry(metric: str, name: str, estimate: Estimate, error: float | None = None) -> dict[str, Any]:
    return {f"{metric},{name}": estimate.value, f"{metric}_stderr,{name}": NO_ERROR if error is None else error}


def _standard_error(task: TaskResult, metric: str) -> float | None:
    """The clustered standard error of the primary metric, where it is the mean over items."""
    values = [item.right for item in task.items]
    estimate = task.primary
    if metric != task.metric or not task.has_item_values or len(values) < 2 or estimate is None:
        return None
    if abs(sum(values) / len(values) - estimate.value) > 1e-9:  # a mean over groups, not over items
        return None
    clusters = [number if item.cluster is None else item.cluster for number, item in enumerate(task.items)]
    error = clustered_standard_error(values, clusters)
    return error if error < float("inf") else None


def _shots(task: TaskResult) -> int:
    first = str(task.settings.get("shots", "0")).split()[0]
    return int(first) if first.isdigit() else 0


def _task_config(task: TaskResult) -> dict[str, Any]:
    return {
        "task": task.name,
        "description": task.description,
        "dataset_path": task.settings.get("data"),
        "output_type": "generate_until",
        "metric_list": [{"metric": _exported(task, task.metric), "scorer": task.scorer}],
        "num_fewshot": _shots(task),
        "metadata": {"version": task.version, **task.settings},
    }


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)
