"""`python -m omni fetch [NAME...] [--list]`."""

import argparse
import errno
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from omni.starter.catalogue import ASSETS, GROUPS, Asset
from omni.starter.errors import FetchError
from omni.starter.fetching import fetch
from omni.starter.locations import folder_of, home, is_current

DETAILED_WIDTH = 110  # characters: from this width of a terminal on, titles fit next to the other columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `fetch`."""
    parser.epilog = f"Assets: {', '.join(ASSETS)}. Groups: {', '.join(GROUPS)}. They are kept in $OMNI_HOME."
    parser.add_argument("names", nargs="*", metavar="NAME", help="assets or groups; all when none is named")
    parser.add_argument("--list", action="store_true", help="show what there is, sizes and licences, and fetch nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Fetch or list, say in one sentence what went wrong, and return exit code 0, 1 (failed) or 2 (unknown name)."""
    if arguments.list:
        console = Console()
        console.print(listing(detailed=console.width >= DETAILED_WIDTH))
        return 0
    try:
        folders = fetch(arguments.names or None, progress=not arguments.quiet)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (FetchError, OSError) as error:
        print(f"error: {_explained(error)}", file=sys.stderr)
        return 1
    for name, folder in folders.items():
        print(f"{name}\t{folder}")
    return 0


def _explained(error: FetchError | OSError) -> str:
    if isinstance(error, FetchError) or error.errno == errno.ENOSPC:  # their messages are complete
        return str(error) if isinstance(error, FetchError) else str(error.strerror)
    return f"cannot write to {home()} ({error}); set OMNI_HOME to a folder that can be written to"


def listing(detailed: bool = True) -> Table:
    """Return a table of all assets with sizes, licences and whether they are there; `detailed` adds what they are."""
    table = Table(title=f"Starter assets in {home()}", title_justify="left")
    table.add_column("name", style="bold", no_wrap=True)
    if detailed:
        table.add_column("kind")
        table.add_column("what", ratio=1)
    table.add_column("here", no_wrap=True)
    table.add_column("download", justify="right", no_wrap=True)
    table.add_column("on disk", justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    for asset in ASSETS.values():
        present = is_current(asset)
        on_disk = size_of(folder_of(asset)) if present else asset.unpacked_size
        table.add_row(
            asset.name,
            *((asset.kind, asset.title) if detailed else ()),
            _state(asset, present),
            megabytes(asset.download_size),
            megabytes(on_disk) if present else f"~{megabytes(on_disk)}",
            asset.licence,
        )
    return table


def _state(asset: Asset, present: bool) -> str:
    if present:
        return "[green]yes[/green]"
    return "[yellow]outdated[/yellow]" if folder_of(asset).exists() else "no"


def size_of(folder: Path) -> int:
    """Return the number of bytes in all files below a folder."""
    return sum(os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(folder) for name in names)


def megabytes(size: int) -> str:
    """Return a size such as "538 MB", at least "1 MB"."""
    return f"{max(1, round(size / 1e6)):,} MB"
