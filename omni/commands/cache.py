"""`python -m omni cache --stats | --prune [SIZE] | --build RECIPE [--KEY VALUE ...]`."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from omni.starter.command import megabytes

if TYPE_CHECKING:
    from omni.commands.cache_building import BuildReport
    from omni.recipe.schema import Recipe

_UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_SHOWN_DAMAGED = 10
_WIDTH_OF_A_FILE = 140  # columns where the output is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `cache`."""
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--stats", action="store_true", help="what the cache holds, for each encoder")
    action.add_argument(
        "--prune",
        nargs="?",
        const="",
        metavar="SIZE",
        help="delete what was not used for longest until SIZE is left (20GB, 500MB), or all; or see --older-than",
    )
    action.add_argument(
        "--build",
        metavar="RECIPE",
        type=Path,
        help="encode every media item that training with this recipe will ask for; takes the same overrides as "
        "training, such as --train.seed 3",
    )
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="with --prune: what was not used for DAYS")
    parser.add_argument("--dir", type=Path, help="the cache folder; default: the recipe's, or $OMNI_HOME/features")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="with --build: items encoded at once")
    parser.add_argument(
        "--num-workers", type=int, default=1, metavar="N", help="with --build: processes that read, for each process"
    )
    parser.epilog = "On several processes: accelerate launch --multi_gpu --num_processes 2 -m omni cache --build RECIPE"


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return exit code 0, 1 (failed) or 2 (wrong usage). Errors are printed in one sentence."""
    try:
        action = _choose(arguments)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    try:
        return action()
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _choose(arguments: argparse.Namespace) -> Callable[[], int]:
    if arguments.older_than is not None and (arguments.prune is None or not arguments.older_than >= 0):
        raise ValueError("--older-than takes a number of days of at least 0, and goes with --prune")
    if arguments.batch_size < 1 or arguments.num_workers < 0:
        raise ValueError("--batch-size must be at least 1 and --num-workers at least 0")
    if arguments.overrides and arguments.build is None:
        raise ValueError(f"unrecognized arguments: {' '.join(arguments.overrides)}; keys of a recipe go with --build")
    if arguments.stats:
        return lambda: _stats(_directory(arguments))
    if arguments.prune is not None:
        if not arguments.prune and arguments.older_than is None:
            raise ValueError("--prune needs a size to keep (such as 20GB), all, or --older-than DAYS")
        size = parse_size(arguments.prune) if arguments.prune else None
        return lambda: _prune(_directory(arguments), size, arguments.older_than)
    recipes = _read(arguments)
    return lambda: _build(recipes, arguments)


def _directory(arguments: argparse.Namespace) -> Path:
    from omni.feature_cache import default_directory

    return arguments.dir or default_directory()


def parse_size(text: str) -> int:
    """Return the bytes that "20GB", "1.5 gb", "500MB" or "1000" mean; "all" (prune all) is 0.

    Raises:
        ValueError: `text` is none of these.
    """
    if text == "all":
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is no size: write a number with KB, MB, GB or TB, such as 20GB, or all")
    return int(float(match[1]) * _UNITS[match[2]])


def _stats(directory: Path) -> int:
    from omni.feature_cache.retention import list_shards
    from omni.feature_cache.sharing import explain_denied

    shards = list_shards(directory)
    table = Table(title=f"Features in {directory}", title_justify="left")
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    table.add_column("encoder", overflow="fold")
    for name in ("fingerprint", "dtype", "entries", "shards", "on disk", "last used"):
        table.add_column(name, justify="right" if name in ("entries", "shards", "on disk") else "left", no_wrap=True)
    num_entries, denied = 0, []
    for folder in sorted({shard.index_path.parent for shard in shards}):
        own = [shard for shard in shards if shard.index_path.parent == folder]
        fingerprint, _, dtype = folder.name.rpartition("-")
        try:
            entries = sum(shard.num_entries() for shard in own)
        except PermissionError as error:
            denied.append(explain_denied(Path(error.filename), error))
            entries = 0
        num_entries += entries
        used = datetime.fromtimestamp(max(shard.last_used for shard in own)).strftime("%Y-%m-%d %H:%M")
        size = megabytes(sum(shard.num_bytes for shard in own))
        table.add_row(_name_in(folder), fingerprint[:16], dtype, f"{entries:,}", str(len(own)), size, used)
    console.print(table)
    for line in denied:
        print(f"not counted: {line}", file=sys.stderr)
    print(f"{num_entries:,} entries, {megabytes(sum(shard.num_bytes for shard in shards))}")
    return 0


def _name_in(folder: Path) -> str:
    from omni.feature_cache.writer import NAME_FILE

    try:
        return (folder / NAME_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return "(of an earlier version)"


def _prune(directory: Path, max_bytes: int | None, days: float | None) -> int:
    from omni.feature_cache.retention import list_shards, prune

    pruned = prune(directory, max_bytes, None if days is None else time.time() - days * 86400)
    left = sum(shard.num_bytes for shard in list_shards(directory))
    print(f"deleted {pruned.num_shards} shards, {megabytes(pruned.num_bytes) if pruned.num_bytes else '0 MB'}")
    if pruned.num_in_use:
        print(f"{pruned.num_in_use} shards stay because a process is writing to them")
    if pruned.num_denied:
        print(f"{pruned.num_denied} shards stay, since they belong to another user, who can delete them")
    print(f"{megabytes(left) if left else '0 MB'} are left in {directory}")
    return 0


def _read(arguments: argparse.Namespace) -> "list[Recipe]":
    from omni.recipe.reading import load_recipes

    return load_recipes(arguments.build, arguments.overrides)


def _build(recipes: "Sequence[Recipe]", arguments: argparse.Namespace) -> int:
    from omni.commands.cache_building import build_cache
    from omni.commands.cache_plan import plan_cache
    from omni.feature_cache.opening import cache_folder

    sys.path.insert(0, os.getcwd())  # accelerate does not do it, and a recipe may name classes of the user's own files
    stages = plan_cache(recipes)
    if arguments.dir is not None:
        stages = [replace(one, train=replace(one.train, feature_cache=str(arguments.dir))) for one in stages]
    is_usable = True
    for stage in stages:
        report, speaks = build_cache(stage, batch_size=arguments.batch_size, num_workers=arguments.num_workers)
        if speaks:
            prefix = f"{stage.train.output_dir}: " if len(stages) > 1 else ""
            _print_report(report, prefix, cache_folder(stage.train))
        is_usable = is_usable and bool(report.num_found or not report.damaged)
    return 0 if is_usable else 1


def _print_report(report: "BuildReport", prefix: str, folder: Path) -> None:
    print(
        f"{prefix}{report.num_found:,} media items are cached in {folder}: {report.num_encoded:,} encoded now, "
        f"{report.num_there:,} were there; {len(report.damaged):,} could not be used"
    )
    for line in report.damaged[:_SHOWN_DAMAGED]:
        print(f"  {line}", file=sys.stderr)
    if len(report.damaged) > _SHOWN_DAMAGED:
        print(f"  ... and {len(report.damaged) - _SHOWN_DAMAGED} more", file=sys.stderr)
