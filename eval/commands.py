"""Words after `python -m eval` that are commands of their own rather than suites."""

import importlib
from collections.abc import Callable, Sequence

COMMANDS: dict[str, str] = {
    "compare": "eval.compare.command:main",
    "board": "eval.board.command:main",
    "data": "eval.data.command:main",
    "export": "eval.export.command:main",
}
"""Name -> `module:function`, which is imported when it is called, takes the words after the name, and gives the exit
status."""


def command_of(name: str) -> Callable[[Sequence[str]], int]:
    """Return the function of a command in `COMMANDS`."""
    module, _, function = COMMANDS[name].partition(":")
    return getattr(importlib.import_module(module), function)
