"""`python -m eval data [NAME [FOLDER]]`: what to get for a benchmark, and whether it is all there."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Split
from eval.data.catalogue import BENCHMARKS
from eval.data.checking import check_split, report
from eval.data.opening import get_benchmark
from eval.task import OFFICIAL


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m eval data",
        description="Say what to get for a benchmark, and check what lies in a folder. Nothing is downloaded.",
    )
    parser.add_argument("name", nargs="?", help="a benchmark, or BENCHMARK/SPLIT; none = list all")
    parser.add_argument("folder", nargs="?", type=Path, help="check the files in this folder")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 where something is missing, or 2 for a mistake of the user's."""
    options = build_parser().parse_args(arguments)
    if options.name is None:
        print(listing(), flush=True)
        return 0
    try:
        name, _, chosen = options.name.partition("/")
        benchmark = get_benchmark(name)
        if options.folder is None:
            print(describe(benchmark))
            return 0
        if not options.folder.is_dir():
            raise FileNotFoundError(f"there is no folder {options.folder}; name the one that holds the official files")
        splits = [chosen] if chosen else [*benchmark.splits]
        found = [check_split(f"{OFFICIAL}{name}/{split}", options.folder) for split in splits]
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(map(report, found)))
    # Of several splits, those that nobody has fetched are no fault as long as one is there: no file, or no medium.
    looked = [one for one in found if one.num_items] or found
    return 0 if all(one.is_complete for one in looked) else 1


def listing() -> str:
    """Return the list of all benchmarks."""
    width = max(map(len, BENCHMARKS))
    lines = [f"  {one.name:<{width}}  {one.title}" for one in BENCHMARKS.values()]
    return "\n".join(["Benchmarks:", *lines, "", "What to get: python -m eval data NAME"])


def describe(benchmark: Benchmark) -> str:
    """Return what to get for a benchmark, from whom, under which licence, and what must lie where."""
    lines = [
        benchmark.title,
        f"  from     {benchmark.homepage}",
        f"  licence  {benchmark.licence}",
        f"  get      {benchmark.get}",
    ]
    for name, split in benchmark.splits.items():
        number = "number of items not known" if split.num_items is None else f"{split.num_items:,} items"
        lines.append(f"  {benchmark.name}/{name}: {number}{f'; {split.note}' if split.note else ''}")
        lines += _layouts(split)
    lines.append("Files may lie anywhere in the folder; media are found by their names.")
    lines.append(f"Check it: python -m eval data {benchmark.name} FOLDER")
    return "\n".join(lines)


def _layouts(split: Split) -> list[str]:
    lines = []
    for layout in split.layouts:
        needs = ", ".join(need if isinstance(need, str) else " or ".join(need) for need in layout.needs)
        config = f", configuration {layout.hub.config}" if layout.hub and layout.hub.config else ""
        mirror = f" (hub: {layout.hub.id}{config}, split {layout.hub.split})" if layout.hub else ""
        lines.append(f"    {layout.name}{mirror}: {needs}")
    return lines
