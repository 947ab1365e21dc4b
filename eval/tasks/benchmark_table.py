"""The page docs/benchmarks.md, a table of benchmarks with their tasks: `python -m eval --benchmarks` prints it."""

from eval.data import BENCHMARKS, SCHEME
from eval.data.benchmark import Benchmark
from eval.task import Task
from eval.tasks import TASKS


_HEAD = """# Benchmarks

`python -m eval data NAME` says what to get for a benchmark, from whom and under which licence; `python -m eval data NAME FOLDER` checks
what lies in a folder: the number of items, missing media, and the first rows that cannot be used. Nothing is downloaded.

```bash
python -m eval data vqav2 DATA/vqav2
python -m eval vqav2 --model DIR --data DATA
```

`--data` names the folder of the files, or one that has a folder of the benchmark's name. Files may lie anywhere below it, as the official
archives unpack. A model's hub mirror, a table with pictures or sounds in it, is read as well where one is known: `python -m eval data NAME`
names it. Numbers of items are the official ones; `?` = not known, or it depends on what can still be downloaded.

A name with `-likelihood` ranks the options instead of reading the answer, and one with `-instructblip` has X-InstructBLIP's prompt and
settings. The prompts are those of lmms-eval or of the benchmark's paper; each task's own are in its result, and in `eval/tasks/`.

"""


def benchmark_page() -> str:
    """Return the whole page."""
    return f"{_HEAD}{benchmark_table()}\n"


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
        if task.data.startswith(SCHEME) and task.data.removeprefix(SCHEME).partition("/")[0] == benchmark.name:
            by_scorer.setdefault(task.scorer, []).append(task)
    lines = [f"{', '.join(f'`{task.name}`' for task in tasks)}: {name}" for name, tasks in by_scorer.items()]
    return "<br>".join(lines) or "data for probes and tasks of your own"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
