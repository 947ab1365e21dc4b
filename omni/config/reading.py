"""Read configs strictly: YAML text into plain values, and plain values into dataclasses."""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import yaml

from omni.config.other_names import hint_at


def read_yaml(text: str, where: str) -> Any:
    """Return the values in a YAML document.

    Raises:
        ValueError: `text` is not YAML, or a key occurs twice; the message begins with `where`, the document's name.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no valid YAML: {error}") from error


def read_value(text: str, name: str) -> Any:
    """Return the YAML value that a command line gives to one key.

    Raises:
        ValueError: `text` is not YAML; the message begins with `name`, such as `--train.lr`.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: {text!r} is no YAML value: {error}") from error


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain dictionaries, lists and scalars that YAML can hold."""
    return dataclasses.asdict(config)


def from_dict(config_class: type, values: Any, key: str = "model") -> Any:
    """Build a config dataclass from plain values, strictly; `key` is the path that errors name.

    Raises:
        ValueError: an unknown or missing key (with the closest allowed one), or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{key}: expected keys of {config_class.__name__}, found {values!r}")
    hints = typing.get_type_hints(config_class)
    fields = {item.name: item for item in dataclasses.fields(config_class)}
    for name in values:
        if name not in fields:
            raise ValueError(f"{key}.{name}: unknown key; {hint_at(str(name), fields)}")
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ValueError(f"{key}.{name} is missing")
    return config_class(**{name: _convert(hints[name], value, f"{key}.{name}") for name, value in values.items()})


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, key)
    if origin is Literal:
        if value is False and "no" in arguments:  # YAML 1.1, which PyYAML reads, takes a bare `no` for false
            value = "no"
        if value not in arguments:
            raise ValueError(f"{key}: {value!r} is not one of {list(arguments)}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, key)
    if origin is dict and isinstance(value, Mapping):
        return {name: _convert(arguments[1], item, f"{key}.{name}") for name, item in value.items()}
    if origin is list and isinstance(value, list):
        return [_convert(arguments[0], item, f"{key}[{index}]") for index, item in enumerate(value)]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected: Any = origin or hint
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ValueError(f"{key}: expected {getattr(hint, '__name__', hint)}, found {value!r}")
    return value


def _convert_union(options: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    for index, option in enumerate(options):
        try:
            return _convert(option, value, key)
        except ValueError:
            if index == len(options) - 1:
                raise
    raise AssertionError("a union has at least one option")


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as in YAML 1.2 (PyYAML reads it as text), and no key occurs twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)
