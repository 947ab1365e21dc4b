"""Set single values of a config by their path, such as `train.lr` or `data.train.0.path`."""

from collections.abc import Sequence
from typing import Any


def with_value(values: Any, key: str, value: Any, name: str) -> Any:
    """Return a copy of nested dictionaries and lists with `value` at the path `key`; missing dictionaries are made.

    It is a copy because YAML's anchors can make one object stand in several places, only one of which is meant.

    Args:
        key: names of keys and places in lists, with dots between them.
        name: the option that sets the value, such as `--train.lr`; error messages begin with it.

    Raises:
        ValueError: the path leads through a value that has no keys, or to a place that a list does not have.
    """
    return _with_value(values, key.split("."), value, parent="the config", name=name)


def _with_value(values: Any, path: Sequence[str], value: Any, parent: str, name: str) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(values, list):
        index = _list_index(values, first, name)
        return [*values[:index], _with_value(values[index], rest, value, first, name), *values[index + 1 :]]
    if not isinstance(values, dict | None):
        raise ValueError(f"{name}: {parent} is {values!r}, which has no keys")
    values = values or {}
    return values | {first: _with_value(values.get(first), rest, value, first, name)}


def _list_index(values: list[Any], text: str, name: str) -> int:
    if not text.isdigit() or int(text) >= len(values):
        raise ValueError(f"{name}: {text!r} must be a number from 0 to {len(values) - 1}, the place in the list")
    return int(text)
