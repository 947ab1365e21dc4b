"""Results of tasks, which `results.json` holds and the report shows."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eval.items.item import BadItem
from eval.items.origin import Origin
from eval.metrics.confusion import Confusion
from eval.statistics.intervals import Estimate
from omni.runtime.files import write_atomically

# Rises when the form of results.json changes.
RESULTS_VERSION = 1


@dataclass
class ItemAnswer:
    """How one item went.

    Attributes:
        media: JSON parts (`{"type": modality, "path": ...}`), as far as the media are files.
        right: the item's value of the task's primary metric; for a choice 1 or 0, a share for a shared first place; NaN
            where it has none.
        top: the likeliest candidates with their probability under the primary score; empty for generated answers.
        cluster: the number of its cluster; None in results from before it was written.
    """

    id: str
    media: list[dict[str, Any]]
    question: str
    target: str
    answer: str
    right: float
    top: list[tuple[str, float]] = field(default_factory=list)
    note: str = ""
    cluster: int | None = None


@dataclass
class TaskResult:
    """One task's result; `status` is `computed` or `not computed` (then `reason` says why).

    Attributes:
        metric: the primary metric, a key of `scores["own"]`.
        percent: the primary metric is a share and is shown in percent.
        chance: the value that guessing gives on the primary metric; None where that has no meaning.
        scores: condition -> metric -> estimate; the conditions are those of `eval.items.conditions`.
        control_metric: condition -> the metric that is compared with the primary one of other conditions, where it is
            another metric (a blank prompt has no pointwise mutual information with itself).
        drops: condition -> own minus that condition, paired by item, of those with missing modalities, corruptions or
            inserted attributes.
        difference: own minus shuffled on the primary metric, paired by item.
        linear_map: the primary metric of the linear map (`eval.run.baselines.linear_map`).
        linear_map_difference: own minus linear map, paired by item.
        linear_map_seconds: what fitting it took.
        has_item_values: False where the primary metric has no value for a single item (an error rate of all words).
        not_computed: part -> reason.
        num_empty: items with their own media to which the model wrote nothing at all.
        settings: everything else that the figures depend on.
        confusion: how often each class was taken for each with the item's own media; None where there are no classes.
        origin: where the items came from, and the rows that are no items.
    """

    name: str
    version: int
    description: str
    scorer: str
    metric: str
    status: str = "computed"
    reason: str = ""
    percent: bool = True
    chance: float | None = None
    scores: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    control_metric: dict[str, str] = field(default_factory=dict)
    difference: Estimate | None = None
    drops: dict[str, Estimate] = field(default_factory=dict)
    probe: Estimate | None = None
    not_computed: dict[str, str] = field(default_factory=dict)
    num_items: int = 0
    num_rows: int = 0
    bad: list[dict[str, str]] = field(default_factory=list)
    items: list[ItemAnswer] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    confusion: Confusion | None = None
    linear_map: Estimate | None = None
    linear_map_difference: Estimate | None = None
    linear_map_seconds: float | None = field(default=None, compare=False)
    has_item_values: bool = True
    num_empty: int = 0
    origin: Origin = field(default_factory=Origin)

    @property
    def primary(self) -> Estimate | None:
        """The score on the primary metric with the item's own media."""
        return self.estimate("own")

    def estimate(self, condition: str) -> Estimate | None:
        """Return the estimate of a condition that is compared with the primary one."""
        return self.scores.get(condition, {}).get(self.control_metric.get(condition, self.metric))

    @property
    def bad_share(self) -> float:
        """Share of items that could not be used or answered."""
        return len(self.bad) / max(1, self.num_items + len(self.bad))


@dataclass
class RunResult:
    """The results of one `python -m eval`."""

    suite: str
    model: dict[str, Any]
    tasks: list[TaskResult]
    settings: dict[str, Any] = field(default_factory=dict)


def not_computed(name: str, version: int, description: str, scorer: str, reason: str) -> TaskResult:
    """Return the result of a task that could not run."""
    return TaskResult(name, version, description, scorer, metric="", status="not computed", reason=reason)


def save_results(run: RunResult, path: Path) -> None:
    """Write `results.json`."""
    content = {"version": RESULTS_VERSION, **asdict(run)}
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=True) + "\n")


def load_results(path: Path) -> RunResult:
    """Read `results.json` (or the folder that holds it).

    Raises:
        FileNotFoundError: there is none.
        ValueError: it was written by another version.
    """
    path = path / "results.json" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"no results at {path}; run `python -m eval SUITE --model DIR --output {path.parent}` first"
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.pop("version", None) != RESULTS_VERSION:
        raise ValueError(f"{path} was written by another version; run the evaluation again (answers are cached)")
    tasks = [_task_from_json(task) for task in content.pop("tasks")]
    return RunResult(tasks=tasks, **content)


def _task_from_json(values: dict[str, Any]) -> TaskResult:
    values["scores"] = {
        condition: {metric: Estimate(**estimate) for metric, estimate in metrics.items()}
        for condition, metrics in values["scores"].items()
    }
    for name in ("difference", "probe", "linear_map", "linear_map_difference"):
        values[name] = None if values.get(name) is None else Estimate(**values[name])
    values["drops"] = {name: Estimate(**drop) for name, drop in values.get("drops", {}).items()}
    if "origin" in values:
        origin = values["origin"]
        left_out = tuple(BadItem(**one) for one in origin["left_out"])
        values["origin"] = Origin(origin["folder"], origin["layout"], left_out, tuple(origin["notes"]))
    if values.get("confusion") is not None:
        cells = tuple((right, said, count) for right, said, count in values["confusion"]["cells"])
        values["confusion"] = Confusion(tuple(values["confusion"]["labels"]), cells)
    values["items"] = [
        ItemAnswer(**{**item, "top": [(text, probability) for text, probability in item["top"]]})
        for item in values["items"]
    ]
    return TaskResult(**values)
