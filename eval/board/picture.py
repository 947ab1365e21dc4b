"""The board as a picture for documents: a small chart for each task, a bar for each model."""

import math
from pathlib import Path
from typing import Any

from eval.board.table import Board
from eval.run.results import TaskResult
from eval.statistics.intervals import Estimate

_OWN, _MAP, _CHANCE, _CONTROL = "#1f6f8b", "#c58b2a", "#c2513d", "#b9b4a7"
_MOST_COLUMNS = 2


def draw_board(path: Path, board: Board) -> None:
    """Draw score, interval, linear map, shuffled control and chance of every result into a picture (`.png`, `.svg`)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    charts = [
        (column, [(row.name, task) for row in board.rows if (task := row.cells.get(place)) and task.primary])
        for place, column in enumerate(board.columns)
    ]
    columns = min(_MOST_COLUMNS, len(charts))
    lines = math.ceil(len(charts) / columns)
    tallest = [
        max((len(bars) for _, bars in charts[line * columns : (line + 1) * columns]), default=1)
        for line in range(lines)
    ]
    figure, grid = plt.subplots(
        lines,
        columns,
        figsize=(11 if columns > 1 else 8, 0.8 + sum(0.85 + 0.34 * count for count in tallest)),
        squeeze=False,
        gridspec_kw={"height_ratios": [count + 1.2 for count in tallest]},
    )
    for axes in grid.flat[len(charts) :]:
        axes.set_axis_off()
    for place, (axes, (column, bars)) in enumerate(zip(grid.flat, charts, strict=False)):
        unit = 100 if column.sample.percent else 1
        for number, (_, task) in enumerate(bars):
            _draw_bar(axes, number, task, unit)
        chance = column.sample.chance
        if chance is not None:
            axes.axvline(unit * chance, color=_CHANCE, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8.5)
        axes.margins(x=0.12)
        axes.set_xlim(left=0)
        axes.set_ylim(tallest[place // columns] - 0.4, -0.6)  # bars of one height in all charts of a line
        if column.sample.percent:
            axes.xaxis.set_major_formatter("{x:.0f} %")
        title = f"{column.name}{f' ({column.note})' if column.note else ''}, {column.sample.num_items} items"
        axes.set_title(title, fontsize=9.5, loc="left")
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles=[
            Patch(color=_OWN, label="model, 95 % interval"),
            Line2D([], [], color=_MAP, marker="D", linestyle="-", label="linear map, 95 % interval"),
            Line2D([], [], color=_CONTROL, marker="|", markersize=10, linestyle="", label="shuffled media"),
            Line2D([], [], color=_CHANCE, linestyle="--", label="chance"),
        ],
        loc="lower center",
        ncols=4,
        frameon=False,
        fontsize=8.5,
    )
    figure.tight_layout(rect=(0, 0.06 if lines > 1 else 0.14, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix == ".png" else {"Date": None})
    plt.close(figure)


def _draw_bar(axes: Any, number: int, task: TaskResult, unit: int) -> None:
    primary = task.primary
    assert primary is not None
    axes.barh(number, unit * primary.value, height=0.55, color=_OWN)
    axes.plot(*_span(primary, unit, number + 0.08), color="#1d2328", linewidth=1)
    shuffled = task.estimate("shuffled")
    if shuffled is not None:
        axes.plot([unit * shuffled.value], [number], color=_CONTROL, marker="|", markersize=13, markeredgewidth=2)
    if task.linear_map is not None:
        axes.plot(*_span(task.linear_map, unit, number - 0.16), color=_MAP, linewidth=1.2)
        axes.plot([unit * task.linear_map.value], [number - 0.16], color=_MAP, marker="D", markersize=5)
    text = f"{unit * primary.value:.1f}" if unit == 100 else f"{primary.value:.3f}"
    axes.annotate(
        text, (unit * 0.004, number), va="center", fontsize=8, color="white" if unit * primary.value > 6 else "#1d2328"
    )


def _span(estimate: Estimate, unit: int, height: float) -> tuple[list[float], list[float]]:
    ends = [value if math.isfinite(value) else estimate.value for value in (estimate.low, estimate.high)]
    return [unit * value for value in ends], [height, height]
