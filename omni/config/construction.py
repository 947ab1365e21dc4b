"""Call a class with the arguments of a recipe, so that arguments of a wrong type end in words that name them."""

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from omni.config.reading import from_hint, shown

_MOST_CHARACTERS = 500  # of what a class raised


def construct(component: type, arguments: Mapping[str, Any], key: str, name: str) -> Any:
    """Return `component(**arguments)`; `key` is that of the component in a recipe, `name` its class path.

    Raises:
        FileNotFoundError, ValueError: those of the class as they are, and a ValueError for anything else that it
            raises, which names `key` and the arguments that do not fit their annotations.
    """
    try:
        return component(**arguments)
    except (FileNotFoundError, ValueError):
        raise
    except Exception as error:  # TypeError of "3" < 1, RuntimeError of torch for a layer of 10**12 numbers, ...
        wrong = [f"{argument} = {shown(arguments[argument])}" for argument in _misfits(component, arguments)]
        which = f" with {', '.join(wrong)}, which does not fit" if wrong else ""
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ValueError(f"{key}.init_args: {name} cannot be made{which} ({reason[:_MOST_CHARACTERS]})") from error


def _misfits(component: type, arguments: Mapping[str, Any]) -> list[str]:
    """Return the arguments whose values are not of the annotated types."""
    try:
        hints = typing.get_type_hints(component.__init__)
    except Exception:  # names that exist for type checkers only
        return []
    found = []
    for argument in inspect.signature(component).parameters:
        try:
            if argument in arguments and argument in hints:
                from_hint(hints[argument], arguments[argument], argument)
        except ValueError:
            found.append(argument)
        except TypeError:  # Protocols, Callable and others that isinstance does not take: no opinion
            continue
    return found
