"""`python -m omni COMMAND`: the commands that belong to the library itself."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from omni.commands import cache, center, importing
from omni.starter import command as fetch_command


@dataclass(frozen=True)
class Command:
    """One subcommand: what it does in a line, its arguments, and the function that runs it and gives the exit code."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS: dict[str, Command] = {
    "fetch": Command("fetch starter weights and data", fetch_command.add_arguments, fetch_command.run),
    "cache": Command("the feature cache: show, prune, build", cache.add_arguments, cache.run),
    "import": Command("published checkpoints into a model or a joint space", importing.add_arguments, importing.run),
    "center": Command("measure the centres of a joint space's modalities", center.add_arguments, center.run),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m omni", description="omni: attach any modality to any frozen LLM")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=command.summary, description=command.summary))
    parsed = parser.parse_args(arguments)
    try:
        return COMMANDS[parsed.command].run(parsed)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
