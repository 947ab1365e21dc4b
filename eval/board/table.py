"""The board as data: a row for each model, a column for each task that was asked in one way."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.compare.models import name_of, split_name
from eval.compare.pairing import asked_alike, first_difference
from eval.run.results import RunResult, TaskResult, load_results

FILE = "results.json"


@dataclass
class Column:
    """A task, asked in one way; results that were asked in another way stand in a column of their own.

    Attributes:
        name: of the task.
        sample: a result of it, for what does not depend on the model.
        note: in what it differs from the first column of that task; empty for the first.
    """

    name: str
    sample: TaskResult
    note: str = ""


@dataclass
class Row:
    """A model: what it is called, and for the number of a column its result."""

    name: str
    cells: dict[int, TaskResult] = field(default_factory=dict)


@dataclass
class Board:
    """All results; `notes` are sentences on what was left out."""

    columns: list[Column]
    rows: list[Row]
    notes: list[str]


def find_results(values: Sequence[str]) -> list[tuple[str, Path]]:
    """Return a name, empty unless it is given, and a results file for each; folders are searched.

    Args:
        values: results files, or folders that hold some at any depth, each also as `NAME=PATH`.

    Raises:
        FileNotFoundError: there are no results at one of the paths.
    """
    found: dict[Path, str] = {}
    for value in values:
        name, path = split_name(value)
        files = [path] if path.is_file() else [path / FILE] if (path / FILE).is_file() else sorted(path.rglob(FILE))
        if not files:
            raise FileNotFoundError(
                f"no {FILE} in {path}; run `python -m eval SUITE --model DIR --output {path}` first"
            )
        for file in files:
            found.setdefault(file, name)
    return [(name, file) for file, name in found.items()]


def load_board(values: Sequence[str]) -> Board:
    """Return the board of all results at some paths; see `find_results`.

    Raises:
        FileNotFoundError: there are no results at one of the paths.
        ValueError: results are of another version, or hold no task.
    """
    board = Board([], [], [])
    rows: dict[tuple[str, str], Row] = {}
    places: dict[tuple[str, str], int] = {}
    runs = [(name, file, load_results(file)) for name, file in find_results(values)]
    for (called, file, run), name in zip(runs, _names(runs), strict=True):
        fingerprint = called or str(run.model.get("fingerprint", file))
        row = rows.setdefault((name, fingerprint), Row(name))
        for task in run.tasks:
            if task.status == "computed":
                _put(board, row, _column(board, places, task), task)
    for (_, _, run), name in zip(runs, _names(runs), strict=True):
        _add_reasons(board, next(row for (called, _), row in rows.items() if called == name), run)
    board.rows = list(rows.values())
    if not board.columns:
        raise ValueError(f"no task was computed in {', '.join(str(file) for _, file, _ in runs)}")
    return board


def _names(runs: Sequence[tuple[str, Path, RunResult]]) -> Iterator[str]:
    """The name of the model of each run; two models of the same name are told apart by their fingerprints."""
    plain = [called or name_of(run, file) for called, file, run in runs]
    prints = [str(run.model.get("fingerprint", "")) for _, _, run in runs]
    for (called, _, _), name, own in zip(runs, plain, prints, strict=True):
        same = {other for other_name, other in zip(plain, prints, strict=True) if other_name == name}
        yield name if called or len(same) == 1 else f"{name} ({own[:6]})"


def _column(board: Board, places: dict[tuple[str, str], int], task: TaskResult) -> int:
    asked = asked_alike(task) | {"data": task.settings.get("data")}
    key = (task.name, json.dumps(asked, sort_keys=True, default=str))
    if key not in places:
        first = next((column for column in board.columns if column.name == task.name), None)
        note = ""
        if first is not None:
            what = first_difference(asked_alike(first.sample), asked) or "data"
            note = f"{what.replace('_', ' ')} {asked.get(what)}"
        places[key] = len(board.columns)
        board.columns.append(Column(task.name, task, note))
    return places[key]


def _put(board: Board, row: Row, place: int, task: TaskResult) -> None:
    """Put a result into its cell; of two for one cell the one with more items stays."""
    before = row.cells.get(place)
    if before is None:
        row.cells[place] = task
        return
    left_out, row.cells[place] = sorted((before, task), key=lambda one: one.num_items)
    shown = row.cells[place]
    board.notes.append(
        f"{row.name} has two results of {task.name}: the one on {shown.num_items} items is shown, the one on "
        f"{left_out.num_items} is not."
    )


def _add_reasons(board: Board, row: Row, run: RunResult) -> None:
    """Put results that could not be computed where the model has no other of the task."""
    for task in run.tasks:
        if task.status == "computed":
            continue
        places = [number for number, column in enumerate(board.columns) if column.name == task.name]
        if places and not any(number in row.cells for number in places):
            row.cells[places[0]] = task
        elif not places:
            board.notes.append(f"{task.name} of {row.name}: not computed: {task.reason}")
