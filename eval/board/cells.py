"""What a cell of the board shows, and what it tells when asked."""

from dataclasses import dataclass

from eval.board.table import Board, Column
from eval.report.words import figure, higher_is_better, interval
from eval.run.results import TaskResult
from eval.statistics.intervals import Estimate


@dataclass(frozen=True)
class CellView:
    """A cell, ready to be drawn.

    Attributes:
        kind: `computed`, `missing` (could not be computed) or `empty` (was not asked).
        value: the number it is sorted by; None sorts last.
        score: the score as text.
        linear_map: that of the linear map as text; empty where there is none.
        bar, low, high, map_at, chance_at: places on the scale, in percent of its width; None = not there.
        best: whether no other model has a better score.
        facts: name and value of everything that is known about it.
    """

    kind: str
    value: float | None = None
    score: str = ""
    linear_map: str = ""
    bar: float | None = None
    low: float | None = None
    high: float | None = None
    map_at: float | None = None
    chance_at: float | None = None
    best: bool = False
    facts: tuple[tuple[str, str], ...] = ()


def cells_of(board: Board, place: int) -> list[CellView]:
    """Return the cell of each row in one column."""
    found = [row.cells.get(place) for row in board.rows]
    scores = [task.primary.value for task in found if task is not None and task.primary is not None]
    scale = _scale([task for task in found if task is not None])
    lower = any(task is not None and higher_is_better(task.metric) is False for task in found)
    best = (min if lower else max)(scores, default=None)
    return [_view(board.columns[place], task, scale, best if len(scores) > 1 else None) for task in found]


def _view(column: Column, task: TaskResult | None, scale: float, best: float | None) -> CellView:
    if task is None:
        return CellView("empty", facts=(("not evaluated", "there are no results of this model on this task"),))
    if task.primary is None:
        return CellView("missing", facts=(("not computed", task.reason),))
    percent = task.percent

    def at(value: float | None) -> float | None:
        return None if value is None else round(100 * min(max(value / scale, 0.0), 1.0), 1)

    primary, mapped = task.primary, task.linear_map
    return CellView(
        "computed",
        primary.value,
        figure(primary.value, percent),
        figure(mapped.value, percent) if mapped else "",
        at(primary.value),
        at(primary.low),
        at(primary.high),
        at(mapped.value if mapped else None),
        at(task.chance),
        primary.value == best,
        tuple(facts_of(column, task)),
    )


def _scale(tasks: list[TaskResult]) -> float:
    """The right end of a column's scale: 100 %, or less where all is low."""
    shown: list[float] = [1e-6]
    for task in tasks:
        for estimate in (task.primary, task.linear_map):
            if estimate is not None:
                shown.append(estimate.high if estimate.high < float("inf") else estimate.value)
    highest = 1.05 * max(shown)
    return min(1.0, highest) if tasks and tasks[0].percent else highest


def facts_of(column: Column, task: TaskResult) -> list[tuple[str, str]]:
    """Return name and value of the score, its controls and its baselines, or why one is not there."""
    percent = task.percent
    facts = [(task.metric.replace("_", " "), interval(task.primary, percent)), ("items", _items(task))]
    if task.chance is not None:
        facts.append(("chance", figure(task.chance, percent)))
    others: list[tuple[str, str, Estimate | None, bool]] = [
        ("shuffled", "shuffled media", task.estimate("shuffled"), percent),
        ("blank", "no media (blank)", task.estimate("blank"), percent),
        ("probe", "linear probe", task.probe, True),
        ("linear map", "linear map", task.linear_map, percent),
        ("bridge", "labels as text (bridge)", task.estimate("bridge"), percent),
    ]
    for part, name, estimate, as_percent in others:
        if estimate is not None:
            facts.append((name, interval(estimate, as_percent)))
        elif part in task.not_computed:
            facts.append((name, f"not computed: {task.not_computed[part]}"))
    for name, difference in (("shuffled", task.difference), ("linear map", task.linear_map_difference)):
        if difference is not None:
            facts.append((f"score - {name}", interval(difference, percent, sign=True)))
    return [*facts, ("scorer", f"{task.scorer}, task version {task.version}")]


def _items(task: TaskResult) -> str:
    bad = f", {len(task.bad)} could not be used" if task.bad else ""
    return f"{task.num_items} of {task.num_rows}{bad}" if task.num_rows else f"{task.num_items}{bad}"
