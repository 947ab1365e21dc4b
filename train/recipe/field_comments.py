"""Read the comments above the fields of dataclasses: what a key means is written once, where it is defined."""

import dataclasses
import inspect
import re
import sys
from functools import cache
from types import ModuleType

_CLASS = re.compile(r"^class (\w+)")
_COMMENT = re.compile(r"^    # (.+)")
_FIELD = re.compile(r"^    (\w+):")


def field_comments(config_class: type) -> dict[str, list[str]]:
    """Return the comment lines directly above each field of a dataclass, inherited fields included."""
    found: dict[str, list[str]] = {}
    for base in reversed(config_class.__mro__):
        if dataclasses.is_dataclass(base):
            found |= _comments_of_module(sys.modules[base.__module__])[base.__name__]
    return found


@cache
def _comments_of_module(module: ModuleType) -> dict[str, dict[str, list[str]]]:
    """Return class -> field -> comment lines; read line by line, since `inspect` parses the file for every class."""
    found: dict[str, dict[str, list[str]]] = {}
    name, lines = "", []
    for line in inspect.getsource(module).splitlines():
        if match := _CLASS.match(line):
            name = match[1]
        if match := _COMMENT.match(line):
            lines.append(match[1])
            continue
        if (match := _FIELD.match(line)) and name:
            found.setdefault(name, {})[match[1]] = lines
        lines = []
    return found
