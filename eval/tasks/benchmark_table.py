"""The page docs/benchmarks.md, a table of benchmarks with their tasks: `python -m eval --benchmarks` prints it."""

from pathlib import Path

from eval.data.benchmark import Benchmark
from eval.data.catalogue import BENCHMARKS
from eval.task import OFFICIAL, Task
from eval.tasks import TASKS

_HEAD = Path(__file__).with_name("benchmarks_head.md")


def benchmark_page() -> str:
    """Return the whole page."""
    return f"{_HEAD.read_text(encoding='utf-8')}{benchmark_table()}\n"


def benchmark_table() -> str:
    """Return a Markdown table with a row for each benchmark: its splits, its tasks and their scorers."""
    lines = ["| benchmark | splits (items) | tasks | licence |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, BENCHMARKS.values())])


def _row(benchmark: Benchmark) -> str:
    splits = ", ".join(
        f"{name} ({'?' if split.num_items is None else f'{split.num_items:,}'})"
        for name, split in benchmark.splits.items()
    )
    cells = [f"`{benchmark.name}`<br>[{_cell(benchmark.title)}]({benchmark.homepage})", splits, _tasks(benchmark)]
    return f"| {' | '.join(cells)} | {_cell(benchmark.licence)} |"


def _tasks(benchmark: Benchmark) -> str:
    """The tasks of a benchmark by their scorers."""
    by_scorer: dict[str, list[Task]] = {}
    for task in TASKS.values():
        if task.data.startswith(OFFICIAL) and task.data.removeprefix(OFFICIAL).partition("/")[0] == benchmark.name:
            by_scorer.setdefault(task.scorer, []).append(task)
    lines = [f"{', '.join(f'`{task.name}`' for task in tasks)}: {name}" for name, tasks in by_scorer.items()]
    return "<br>".join(lines) or "data for probes and tasks of your own"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
