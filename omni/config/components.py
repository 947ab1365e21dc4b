"""Build a part of a model from its class path, so that a user's own class needs no registry and no edit here."""

import contextlib
import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omni.config.other_names import hint_at
from omni.config.user_modules import load_file, load_module
from omni.starter import resolve


@dataclass
class ComponentConfig:
    """A class and its arguments, as a recipe names them."""

    # "package.module.Class", or "path/to/file.py:Class" for a class in a file of the user's own
    class_path: str
    # keyword arguments of the class; strings that begin with "starter:" become local paths
    init_args: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: "ComponentConfig | Mapping[str, Any]", key: str = "component") -> "ComponentConfig":
        """Read a mapping with the keys `class_path` and `init_args`; `key` names it in errors."""
        if isinstance(value, ComponentConfig):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"{key}: expected the keys class_path and init_args, found {value!r}")
        unknown = set(value) - {"class_path", "init_args"}
        if unknown:
            name = sorted(map(str, unknown))[0]
            raise ValueError(f"{key}.{name}: unknown key; {hint_at(name, ('class_path', 'init_args'))}")
        if "class_path" not in value:
            raise ValueError(f"{key}: expected the keys class_path and init_args, found {sorted(value)}")
        class_path, init_args = value["class_path"], value.get("init_args") or {}
        if not isinstance(class_path, str):
            raise ValueError(f"{key}.class_path: expected package.module.Class or file.py:Class, found {class_path!r}")
        if not isinstance(init_args, Mapping):
            raise ValueError(f"{key}.init_args: expected argument names and values, found {init_args!r}")
        return cls(class_path, dict(init_args))


def import_class(class_path: str) -> type:
    """Return the class that `class_path` names.

    Raises:
        ValueError: the path has no class part, its module or class does not exist, or its file cannot be run.
    """
    if ".py:" in class_path:
        file, _, name = class_path.rpartition(":")
        if not Path(file).is_file():
            raise ValueError(f"class_path: there is no file {file}")
        module = load_file(Path(file))
    else:
        module_name, _, name = class_path.rpartition(".")
        if not module_name:
            raise ValueError(f"class_path {class_path!r} has no module: write package.module.Class or file.py:Class")
        try:
            module = load_module(module_name)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"class_path {class_path!r}: there is no module {error.name!r}. If it is your own file, run from its "
                f"folder, put that folder on PYTHONPATH, or write path/to/file.py:{name}"
            ) from error
    found = getattr(module, name, None)
    if not inspect.isclass(found):
        classes = sorted(key for key, value in vars(module).items() if inspect.isclass(value) and key[0] != "_")
        raise ValueError(f"class_path {class_path!r}: {module.__name__} has no class {name!r}; it has {classes}")
    return found


def build(config: "ComponentConfig | Mapping[str, Any]", key: str = "component", **extra: Any) -> Any:
    """Construct the component that `config` names.

    `extra` holds arguments that the framework knows, such as `feature_dim`; those that the class accepts and the config
    does not set are passed on.

    Raises:
        ValueError: the class is not found, or does not accept an argument; the message begins with `key`.
    """
    config = ComponentConfig.parse(config, key)
    try:
        component = import_class(config.class_path)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    parameters = inspect.signature(component).parameters
    arguments = {name: _resolve_paths(value) for name, value in config.init_args.items()}
    unknown = set(arguments) - set(parameters)
    if unknown and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        allowed = sorted(set(parameters) - set(extra))
        hint = hint_at(sorted(unknown)[0], allowed)
        raise ValueError(f"{key}.init_args: {config.class_path} takes no {sorted(unknown)}; {hint}")
    arguments |= {name: value for name, value in extra.items() if name in parameters and name not in arguments}
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        and name not in arguments
    ]
    if missing:
        raise ValueError(f"{key}.init_args: {config.class_path} also needs {missing}")
    with naming_argument(key, arguments):
        return component(**arguments)


@contextlib.contextmanager
def naming_argument(key: str, arguments: Collection[str]) -> Iterator[None]:
    """Put the component's `key` before the message of a file that is missing, which begins with the argument's name."""
    try:
        yield
    except FileNotFoundError as error:
        text = str(error)
        if text.startswith(key) or error.errno is not None:
            raise
        begin = f"{key}.init_args." if text.partition(": ")[0] in arguments else f"{key}: "
        raise FileNotFoundError(begin + text) from error


def _resolve_paths(value: Any) -> Any:
    if isinstance(value, str):
        return resolve(value)
    if isinstance(value, Mapping):
        return {name: _resolve_paths(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolve_paths(item) for item in value]
    return value
