"""The bars of a task: its score next to controls and baselines, as shares of the width of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eval.report.words import condition_label, figure
from eval.run.results import TaskResult
from eval.statistics.intervals import Estimate

_CONTROLS = ("shuffled", "blank", "bridge")


@dataclass(frozen=True)
class Bar:
    """One bar; `value`, `low` and `high` are in percent of the scale, `kind` is own, other, control or probe."""

    label: str
    kind: str
    score: str
    range: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bars:
    """Bars on one scale; `chance` is its place in percent of the scale, or None."""

    bars: Sequence[Bar]
    chance: float | None
    chance_text: str
    end_text: str


def task_bars(task: TaskResult) -> Bars:
    """Return the bars of a task: its score, other conditions, controls, baselines, with the place of chance."""
    order = ["own", *(name for name in task.scores if name not in ("own", *_CONTROLS, "linear map")), *_CONTROLS]
    found: list[tuple[str, str, Estimate, bool]] = []
    for name in order:
        estimate = task.estimate(name)
        if estimate is not None:
            kind = "own" if name == "own" else "control" if name in _CONTROLS else "other"
            found.append((condition_label(name), kind, estimate, task.percent))
    if task.linear_map is not None:
        found.append(("linear map", "probe", task.linear_map, task.percent))
    if task.probe is not None:
        found.append(("linear probe", "probe", task.probe, True))
    maximum = scale_of(task, [estimate for _, _, estimate, _ in found])

    def place(value: float) -> float:
        finite = maximum if value == math.inf else 0.0 if value == -math.inf or math.isnan(value) else value
        return round(100 * min(max(finite / maximum, 0.0), 1.0), 1)

    bars = [
        Bar(label, kind, figure(one.value, percent), _range(one, percent), *map(place, (one.value, one.low, one.high)))
        for label, kind, one, percent in found
    ]
    chance = None if task.chance is None else place(task.chance)
    chance_text = "" if task.chance is None else f"chance {figure(task.chance, task.percent)}"
    return Bars(bars, chance, chance_text, "100 %" if task.percent else figure(maximum, False))


def scale_of(task: TaskResult, estimates: Sequence[Estimate]) -> float:
    """Return the right end of the scale: 100 % for shares, else a little more than the highest end of an interval."""
    if task.percent:
        return 1.0
    highest = max([one.high for one in estimates if math.isfinite(one.high)], default=1.0)
    return max(highest, task.chance or 0.0, 1e-6) * 1.08


def _range(estimate: Estimate, percent: bool) -> str:
    low, high = figure(estimate.low, percent).removesuffix(" %"), figure(estimate.high, percent)
    return f"{low} to {high}"
