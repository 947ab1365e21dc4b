"""Names of classes: readable, by their numbers, and the folders' or tables' ways to write them."""

from collections.abc import Sequence
from typing import Any

from omni.media.item import shorten


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of classes, as their data write them, in a text with blanks between them."""
    return tuple(text.split())


def readable(name: str) -> str:
    """Return the name of a class as words: `dining_room` is `dining room`."""
    return " ".join(name.replace("_", " ").split())


def class_name(value: Any, names: Sequence[str]) -> str:
    """Return the readable name of a class that is given by its number from 0 on, or by its name.

    Raises:
        ValueError: there is no such class.
    """
    text = str(value).strip()
    if text.isdecimal() and not isinstance(value, bool):
        if int(text) < len(names):
            return readable(names[int(text)])
        raise ValueError(f"there is no class {text}: they are numbered from 0 to {len(names) - 1}")
    found = {readable(name).lower(): readable(name) for name in names}
    if readable(text).lower() not in found:
        raise ValueError(f"there is no class {shorten(value)}; there are {', '.join(found.values())}")
    return found[readable(text).lower()]
