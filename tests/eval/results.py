"""Results as evaluations write them, made of a value for each item."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.run.results import ItemAnswer, RunResult, TaskResult, save_results
from eval.statistics.intervals import mean_interval, paired_difference

SETTINGS = {"data": "frogs.jsonl", "prompt": "What is this?", "kind": "choose", "seed": 0, "candidates": "answers, 3"}


def task_result(
    values: Sequence[float], name: str = "frogs", clusters: Sequence[int] | None = None, **changes: Any
) -> TaskResult:
    """A task whose item `item-0`, `item-1`, ... has these values; with all controls and baselines."""
    groups = list(range(len(values))) if clusters is None else list(clusters)
    items = [
        ItemAnswer(
            f"item-{index}",
            [{"type": "image", "path": f"frog-{index}.png"}],
            "What is this?",
            "A frog.",
            "A frog." if value > 0.5 else "A dog.",
            value,
            [("A frog.", 0.6), ("A dog.", 0.4)],
            cluster=group,
        )
        for index, (value, group) in enumerate(zip(values, groups, strict=True))
    ]
    half = [0.5] * len(values)
    result = TaskResult(
        name,
        1,
        "Which one?",
        "choice-pmi-v1",
        "accuracy_pmi",
        chance=1 / 3,
        scores={
            "own": {"accuracy_pmi": mean_interval(values, groups), "accuracy_sum": mean_interval(half)},
            "shuffled": {"accuracy_pmi": mean_interval(half)},
            "blank": {"accuracy_pmi": mean_interval(half), "accuracy_sum": mean_interval([0.0] * len(values))},
            "bridge": {"accuracy_pmi": mean_interval(half)},
        },
        control_metric={"blank": "accuracy_sum"},
        difference=paired_difference(values, half, groups),
        not_computed={"probe": "there are no classes"},
        num_items=len(values),
        num_rows=len(values),
        items=items,
        settings=dict(SETTINGS),
        linear_map=mean_interval(half),
        linear_map_difference=paired_difference(values, half, groups),
        linear_map_seconds=0.5,
    )
    return replace(result, **changes)


def run_result(*tasks: TaskResult, source: str = "runs/frogs/best", fingerprint: str = "ab" * 32) -> RunResult:
    """The results of one model."""
    settings = {"seed": 0, "limit": None, "batch_size": 8, "seconds": 1.5}
    return RunResult("mine", {"fingerprint": fingerprint, "from": [source]}, list(tasks), settings)


def saved(folder: Path, *tasks: TaskResult, **model: str) -> Path:
    """Write `results.json` of one model into a folder; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_results(run_result(*tasks, **model), folder / "results.json")
    return folder
