"""The command `python -m eval compare`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from omni.runtime.files import write_atomically

GALLERY_ITEMS = 12  # of a task; those on which models disagree, evenly spread


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m eval compare",
        description="Compare results of the same tasks item by item; each model is compared with the first.",
    )
    parser.add_argument(
        "results", nargs="+", metavar="RESULTS", help="folder with results.json, or that file; also NAME=RESULTS"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("comparison"),
        help="folder of comparison.html and comparison.json (default: comparison)",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status is 0, or 2 if no task could be compared.

    Raises:
        ValueError, OSError: results cannot be read, or there are fewer than two.
    """
    options = build_parser().parse_args(arguments)
    # Imported late: SciPy takes a second, and mistakes in the arguments should show at once.
    from eval.compare.differences import compare
    from eval.compare.models import load_named
    from eval.compare.page import comparison_sections
    from eval.compare.words import as_json, as_text
    from eval.report import write_report

    runs = load_named(options.results)
    comparisons = compare(runs)
    print(as_text(comparisons))
    names = ", ".join(one.name for one in runs)
    page = options.output / "comparison.html"
    write_report(page, comparison_sections(comparisons), title=f"Comparison: {names}", gallery_items=GALLERY_ITEMS)
    write_atomically(
        options.output / "comparison.json", json.dumps(as_json(comparisons), indent=1, ensure_ascii=False) + "\n"
    )
    print(f"\nwritten: {page}, {options.output / 'comparison.json'}")
    return 0 if any(one.paired is not None for one in comparisons) else 2
