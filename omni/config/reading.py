"""Read configs strictly: YAML text into plain values, and plain values into dataclasses."""

import dataclasses
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import yaml

from omni.config.other_names import hint_at
from omni.config.yaml_text import load_yaml

_LONGEST_SHOWN = 300  # characters of a value in an error
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
_SHORT.maxdict = _SHORT.maxlist = 12


def read_yaml(text: str, where: str) -> Any:
    """Return the values in a YAML document.

    Raises:
        ValueError: `text` is not YAML, is too large or deep, or a key occurs twice; the message begins with `where`,
            the document's name.
    """
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no valid YAML: {error}") from error


def read_value(text: str, name: str) -> Any:
    """Return the YAML value that a command line gives to one key.

    Raises:
        ValueError: `text` is not YAML; the message begins with `name`, such as `--train.lr`.
    """
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: {shown(text)} is no YAML value: {error}") from error


def shown(value: Any) -> str:
    """Return a value as an error shows it, cut short: a damaged file can hold megabytes in the place of a number."""
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain dictionaries, lists and scalars that YAML can hold."""
    return dataclasses.asdict(config)


def from_dict(config_class: type, values: Any, key: str = "model") -> Any:
    """Build a config dataclass from plain values, strictly; `key` is the path that errors name.

    Raises:
        ValueError: an unknown or missing key (with the closest allowed one), or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{key}: expected keys of {config_class.__name__}, found {shown(values)}")
    hints = typing.get_type_hints(config_class)
    fields = {item.name: item for item in dataclasses.fields(config_class)}
    for name in values:
        if name not in fields:
            raise ValueError(f"{key}.{name}: unknown key; {hint_at(str(name), fields)}")
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ValueError(f"{key}.{name} is missing")
    return config_class(**{name: from_hint(hints[name], value, f"{key}.{name}") for name, value in values.items()})


def from_hint(hint: Any, value: Any, key: str) -> Any:
    """Return a plain value as an annotation says: dataclasses are built, whole numbers become floats; see `from_dict`.

    Raises:
        ValueError: the value is of another type; the message begins with `key`.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _from_union(arguments, value, key)
    if origin is Literal:
        if value is False and "no" in arguments:  # YAML 1.1, which PyYAML reads, takes a bare `no` for false
            value = "no"
        if value not in arguments:
            raise ValueError(f"{key}: {shown(value)} is not one of {list(arguments)}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, key)
    if origin is dict and isinstance(value, Mapping):
        wrong = [name for name in value if not isinstance(name, str)]
        if wrong:
            raise ValueError(f"{key}: the key {shown(wrong[0])} is no text; write it in quotation marks")
        return {name: from_hint(arguments[1], item, f"{key}.{name}") for name, item in value.items()}
    if origin is list and isinstance(value, list):
        return [from_hint(arguments[0], item, f"{key}[{index}]") for index, item in enumerate(value)]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return _float(value, key)
    expected: Any = origin or hint
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ValueError(f"{key}: expected {getattr(hint, '__name__', hint)}, found {shown(value)}")
    return value


def _float(value: int, key: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{key}: expected float, found a whole number of {value.bit_length()} bits") from error


def _from_union(options: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    for index, option in enumerate(options):
        try:
            return from_hint(option, value, key)
        except ValueError:
            if index == len(options) - 1:
                raise
    raise AssertionError("a union has at least one option")
