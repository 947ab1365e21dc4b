"""`python -m omni COMMAND`: the commands that belong to the library itself."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from omni.commands import cache, center, explaining, exporting, importing
from omni.starter import command as fetch_command


@dataclass(frozen=True)
class Command:
    """One subcommand: a line on what it does, its arguments, and the function that runs it and returns the exit code.

    With `takes_overrides` the function finds words that no argument takes, such as `--train.seed 3`, in
    `arguments.overrides`; they are an error otherwise.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    takes_overrides: bool = False


COMMANDS: dict[str, Command] = {
    "fetch": Command("fetch starter weights and data", fetch_command.add_arguments, fetch_command.run),
    "cache": Command("the feature cache: show, prune, build", cache.add_arguments, cache.run, True),
    "import": Command("published checkpoints into a model or a joint space", importing.add_arguments, importing.run),
    "explain": Command("which parts of its media an answer stands on", explaining.add_arguments, explaining.run),
    "export": Command("a trained model in the form of other programs", exporting.add_arguments, exporting.run),
    "center": Command("measure the centres of a joint space's modalities", center.add_arguments, center.run),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m omni", description="omni: attach any modality to any frozen LLM")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=command.summary, description=command.summary))
    parsed, parsed.overrides = parser.parse_known_args(arguments)
    command = COMMANDS[parsed.command]
    if parsed.overrides and not command.takes_overrides:
        parser.error(f"unrecognized arguments: {' '.join(parsed.overrides)}")
    try:
        return command.run(parsed)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
