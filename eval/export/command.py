"""The command `python -m eval export`."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m eval export", description="Write results in the form of another framework."
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder with results.json, or that file")
    parser.add_argument("--format", choices=["lm-eval"], default="lm-eval", help="the form (default: lm-eval)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the files")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status is 0, or 2 where no task was computed.

    Raises:
        ValueError, OSError: the results cannot be read, or the files cannot be written.
    """
    options = build_parser().parse_args(arguments)
    # Imported late: SciPy takes a second, and mistakes in the arguments should show at once.
    from eval.export.lm_eval import export_lm_eval
    from eval.run.results import load_results

    run = load_results(options.results)
    for task in run.tasks:
        if task.status != "computed":
            print(f"left out: {task.name}: not computed: {task.reason}")
    if all(task.status != "computed" for task in run.tasks):
        raise ValueError(f"no task in {options.results} was computed, so there is nothing to export")
    file = options.results / "results.json" if options.results.is_dir() else options.results
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    for path in export_lm_eval(run, options.output, written):
        print(path)
    return 0
