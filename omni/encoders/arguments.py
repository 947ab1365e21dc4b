"""Describe what a constructor was given, in the same words in every process: a part of an encoder's fingerprint."""

import enum
import functools
import hashlib
import inspect
import json
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from omni.config.user_modules import place_free_name
from omni.encoders.fingerprint import tensor_bytes

# Attributes that change while a module is in use, or are described in a way of their own.
_STATE_OF_MODULES = ("training", "_parameters", "_buffers", "_modules")
_WAY_OUT = (
    "Give its class a method fingerprint() -> str that changes with its content; or list the argument in "
    "uncounted_arguments of the encoder's class if it does not change the features; or override preprocessing_config()"
)


@runtime_checkable
class Fingerprinted(Protocol):
    """An object that says itself what tells it apart from others of its kind, as every encoder does."""

    def fingerprint(self) -> str:
        """Return a text that changes with whatever changes the object's results."""
        ...


class NoDescriptionError(Exception):
    """A value whose content cannot be told; the text says which."""


class ConstructorArguments:
    """The arguments of a constructor, described before it runs, because it may change or take apart what it is given.

    Arguments that are equal to their default are left out, so that a new argument with a default changes nothing.
    """

    def __init__(self, owner: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Describe the arguments `given` to the constructor of the class `owner`."""
        self.owner = owner
        self._found: dict[str, Any] = {}
        self._problems: dict[str, str] = {}
        self._modules: list[tuple[str, nn.Module]] = []
        for name, value in given.items():
            if name in defaults and value is defaults[name]:
                continue
            descriptions = _Descriptions()
            try:
                found = descriptions.of(value)
            except NoDescriptionError as error:
                self._problems[name] = str(error)
                continue
            if name not in defaults or found != _description_or_none(defaults[name]):
                self._found[name] = found
                self._modules += [(name, module) for module in descriptions.modules]

    def finish(self, parts: Iterable[nn.Module]) -> None:
        """Describe the weights of modules that were given but are no `parts` of the encoder, whose weights count."""
        registered = {id(part) for part in parts}
        for name, module in self._modules:
            if id(module) not in registered:
                try:
                    weights = [[key, _Descriptions().of(value)] for key, value in sorted(module.state_dict().items())]
                except NoDescriptionError as error:
                    self._problems[name] = str(error)
                else:
                    self._found[name] = [self._found[name], weights]
        self._modules.clear()

    def text(self) -> str:
        """Return all as one text.

        Raises:
            ValueError: an argument has no content that could be told; the message names it and the way out.
        """
        if self._problems:
            name, problem = next(iter(self._problems.items()))
            raise ValueError(
                f"the fingerprint of {self.owner} cannot hold its argument {name!r}: {problem}. {_WAY_OUT}"
            )
        return json.dumps(self._found, default=lambda one: one.fingerprint())  # now, since weights are loaded later


def capture_arguments(
    cls: type, args: Sequence[Any], kwargs: Mapping[str, Any], uncounted: Collection[str]
) -> ConstructorArguments | None:
    """Describe the arguments of a call of `cls`, without those whose names are in `uncounted`.

    Returns None where they do not fit the constructor, which says so itself when it is called.
    """
    signature = inspect.signature(cls)
    try:
        given = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError:
        return None
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given |= dict(sorted(given.pop(name, {}).items()))
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    return ConstructorArguments(
        cls.__name__, {name: value for name, value in given.items() if name not in uncounted}, defaults
    )


def place_free_class_name(cls: type) -> str:
    """Return `module.Class` without the folder or package of the module."""
    return f"{place_free_name(cls.__module__)}.{cls.__qualname__}"


def _description_or_none(value: Any) -> Any:
    try:
        return _Descriptions().of(value)
    except NoDescriptionError:
        return ("no description",)  # a tuple, which no description is: equal to none


class _Descriptions:
    """Turns values into JSON values; objects with a fingerprint stay as they are, to be asked for it when it is needed.

    modules: the torch modules among them, whose weights are described by name, shape and number format only.
    """

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self._open: set[int] = set()

    def of(self, value: Any) -> Any:
        if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, enum.Enum)):
            return value.item() if isinstance(value, np.generic) else value
        if id(value) in self._open:
            raise NoDescriptionError(f"a {type(value).__name__} in it refers to itself")
        self._open.add(id(value))
        try:
            return self._of_object(value)
        finally:
            self._open.remove(id(value))

    def _of_object(self, value: Any) -> Any:
        match value:
            case type():
                return {"<class>": place_free_class_name(value)}
            case Fingerprinted():
                return value
            case enum.Enum():
                return {"<choice>": [place_free_class_name(type(value)), value.name]}
            case PurePath():
                return str(value)
            case bytes() | bytearray():
                return {"<bytes>": hashlib.sha256(value).hexdigest()}
            case Mapping():
                return self._of_mapping(value)
            case list() | tuple():
                return [self.of(one) for one in value]
            case set() | frozenset():
                return {"<set>": sorted((self.of(one) for one in value), key=json.dumps)}
            case Tensor():
                return self._of_tensor(value)
            case np.ndarray():
                return self._of_array(value)
            case np.generic():
                item = value.item()
                return self._of_array(np.asarray(value)) if isinstance(item, np.generic) else self.of(item)
            case torch.dtype() | torch.device() | np.dtype():
                return str(value)
            case nn.Module():
                return self._of_module(value)
            case functools.partial():
                return {"<partial>": [self.of(part) for part in (value.func, value.args, value.keywords)]}
            case types.FunctionType() | types.BuiltinFunctionType():
                return self._of_function(value)
            case _:
                return self._of_pickled(value)

    def _of_mapping(self, value: Mapping[Any, Any]) -> Any:
        if set(value) <= {"class_path", "init_args"} and isinstance(value.get("class_path"), str):
            arguments = dict(value.get("init_args") or {})
            path, file, name = value["class_path"].rpartition(".py:")
            class_path = f"{Path(path).stem}.{name}" if file else name  # of a file without its folder
            return {"<component>": class_path, "init_args": {key: self.of(arguments[key]) for key in sorted(arguments)}}
        if all(type(key) is str for key in value):
            return {key: self.of(one) for key, one in value.items()}  # in their order, which may mean something
        return {"<mapping>": [[self.of(key), self.of(one)] for key, one in value.items()]}

    def _of_tensor(self, value: Tensor) -> Any:
        try:
            content = hashlib.sha256(tensor_bytes(value)).hexdigest()
        except (RuntimeError, NotImplementedError, TypeError) as error:  # sparse, or without content
            raise NoDescriptionError(f"the content of a tensor cannot be read ({error})") from error
        return {"<tensor>": [str(value.dtype), list(value.shape), content]}

    def _of_array(self, value: np.ndarray) -> Any:
        if value.dtype.hasobject:
            return {"<array>": [list(value.shape), self.of(value.ravel().tolist())]}
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"<array>": [value.dtype.str, list(value.shape), content]}

    def _of_module(self, value: nn.Module) -> Any:
        """All attributes of all its parts; the weights themselves change, and are part of the encoder's own."""
        self.modules.append(value)
        weights = {**value._parameters, **value._buffers}
        return {
            "<module>": place_free_class_name(type(value)),
            "attributes": {name: self.of(one) for name, one in vars(value).items() if name not in _STATE_OF_MODULES},
            "weights": {
                name: None if one is None else [str(one.dtype), list(one.shape)] for name, one in weights.items()
            },
            "parts": {name: None if one is None else self._of_module(one) for name, one in value._modules.items()},
        }

    def _of_function(self, value: types.FunctionType | types.BuiltinFunctionType) -> Any:
        """Its name, which stands for its code."""
        if "<" in value.__qualname__:
            raise NoDescriptionError(f"{value.__qualname__} is a function without a name that would stand for its code")
        return {"<function>": f"{place_free_name(value.__module__ or '')}.{value.__qualname__}"}

    def _of_pickled(self, value: Any) -> Any:
        """All that pickling keeps of an object: its class and its attributes, private ones too."""
        try:
            reduced = value.__reduce_ex__(2)
        except Exception as error:  # each class refuses in its own way
            raise NoDescriptionError(f"the content of a {type(value).__name__} cannot be told ({error})") from error
        if isinstance(reduced, str):
            return {"<global>": reduced}
        made_by, made_from, attributes, items, pairs, *_ = (*reduced, None, None, None)
        parts = (made_by, made_from, attributes, [*(items or ())], [*(pairs or ())])
        return {"<object>": [self.of(part) for part in parts]}
