"""`board.html`: one self-contained page, sortable, with the controls of a cell on hover, by keyboard or by a tap."""

import importlib.resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from eval.board.cells import cells_of
from eval.board.table import Board
from eval.report.words import higher_is_better
from omni.runtime.files import write_atomically


def write_board(path: Path, board: Board, title: str) -> None:
    """Write the page, atomically; it has no address outside itself."""
    columns = [cells_of(board, place) for place in range(len(board.columns))]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_read("eval.board", "board.html.j2"))
    page = template.render(
        title=title,
        style=Markup(_read("eval.report", "page.css") + _read("eval.board", "board.css")),
        script=Markup(_read("eval.board", "board.js")),
        columns=board.columns,
        lower=[higher_is_better(column.sample.metric) is False for column in board.columns],
        rows=[(row.name, [cells[number] for cells in columns]) for number, row in enumerate(board.rows)],
        notes=board.notes,
    )
    write_atomically(path, page)


def _read(package: str, name: str) -> str:
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
