"""The command `python -m eval board`."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m eval board", description="Put the results of many models on one page, and into a picture."
    )
    parser.add_argument(
        "results", nargs="+", metavar="DIR", help="folder with results.json at any depth, or that file; also NAME=DIR"
    )
    parser.add_argument("--output", type=Path, default=Path("board.html"), help="the page (default: board.html)")
    parser.add_argument("--png", type=Path, help="also draw a picture, .png or .svg")
    parser.add_argument("--title", default="Evaluation board", help="title of the page")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Raises:
        ValueError, OSError: results cannot be read, or a file cannot be written.
    """
    options = build_parser().parse_args(arguments)
    if options.png is not None and options.png.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"--png {options.png}: a picture ends in .png or .svg")
    # Imported late: SciPy and matplotlib take seconds, and mistakes in the arguments should show at once.
    from eval.board.page import write_board
    from eval.board.picture import draw_board
    from eval.board.table import load_board

    board = load_board(options.results)
    write_board(options.output, board, options.title)
    if options.png is not None:
        draw_board(options.png, board)
    for note in board.notes:
        print(note)
    counts = f"{_count(len(board.rows), 'model')}, {_count(len(board.columns), 'task')}"
    print(f"{counts}; written: {options.output}{_and(options.png)}")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _and(path: Path | None) -> str:
    return "" if path is None else f", {path}"
