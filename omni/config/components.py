"""Build a part of a model from its class path, so that a user's own class needs no registry and no edit here."""

import contextlib
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from omni.config.class_path import OWN_PACKAGES, ClassPath
from omni.config.construction import construct
from omni.config.other_names import hint_at
from omni.config.trust import check_trusted, components_in, is_from_folder, note_built
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
            raise ValueError(f"{key}: expected the keys class_path and init_args, found {sorted(map(str, value))}")
        class_path, init_args = value["class_path"], value.get("init_args") or {}
        if not isinstance(class_path, str):
            raise ValueError(f"{key}.class_path: expected package.module.Class or file.py:Class, found {class_path!r}")
        if not isinstance(init_args, Mapping):
            raise ValueError(f"{key}.init_args: expected argument names and values, found {init_args!r}")
        return cls(class_path, dict(init_args))


@runtime_checkable
class NamesAdapters(Protocol):
    """What every class of `adapters.Adapter` tells of its arguments; stated here because importing it takes seconds."""

    @classmethod
    def adapters_in(cls, arguments: Mapping[str, Any]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Return the adapters that arguments of the constructor name: argument -> class path and its arguments."""
        ...


def import_class(class_path: str) -> type:
    """Return the class that `class_path` names.

    Raises:
        ValueError: the path has no class part, its module or class does not exist, or its file cannot be run; or the
            path begins with a package of omni, which has something else under that name than a class of its own.
    """
    path = ClassPath.parse(class_path)
    if path.file is not None:
        if not path.file.is_file():
            raise ValueError(f"class_path: there is no file {path.file}")
        module = load_file(path.file)
    else:
        try:
            module = load_module(path.module)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"class_path {class_path!r}: there is no module {error.name!r}. If it is your own file, run from its "
                f"folder, put that folder on PYTHONPATH, or write path/to/file.py:{path.name}"
            ) from error
    found = getattr(module, path.name, None)
    if not inspect.isclass(found):
        classes = sorted(key for key, value in vars(module).items() if inspect.isclass(value) and key[0] != "_")
        raise ValueError(f"class_path {class_path!r}: {module.__name__} has no class {path.name!r}; it has {classes}")
    if path.is_own and found.__module__.partition(".")[0] not in OWN_PACKAGES:
        raise ValueError(f"class_path {class_path!r}: {found.__module__}.{found.__qualname__} is no class of omni's")
    return found


def admit(config: "ComponentConfig | Mapping[str, Any]", key: str = "component", contract: type = object) -> type:
    """Return the class of a component once it is known that it may be built, and what for. Nothing is constructed.

    Where a folder names it (`omni.config.trust.opening`), all that its arguments name is checked too.

    Args:
        config: the class and its arguments.
        key: what errors begin with.
        contract: the class that it must be a subclass of, or a protocol.

    Raises:
        ValueError: it may not run, is not found, or is something else than the contract says.
    """
    config = ComponentConfig.parse(config, key)
    try:
        path = ClassPath.parse(config.class_path)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    check_trusted(path, config.init_args, key)
    try:
        component = import_class(config.class_path)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    if not issubclass(component, contract):
        raise ValueError(f"{key}: {config.class_path} is no {_public_name(contract)}")
    named = [*_adapters_in(component, config.init_args)]
    for place, class_path, arguments in named:
        admit({"class_path": class_path, "init_args": arguments}, f"{key}.init_args.{place}", NamesAdapters)
    if path.is_own and is_from_folder():  # a class of the user's own may keep in a mapping what it likes
        for place, class_path, arguments in components_in(config.init_args):
            admit({"class_path": class_path, "init_args": arguments}, f"{key}.init_args{place}")
    note_built(path, config.init_args, [(class_path, arguments) for _, class_path, arguments in named])
    return component


def build(
    config: "ComponentConfig | Mapping[str, Any]", key: str = "component", contract: type = object, **extra: Any
) -> Any:
    """Construct the component that `config` names, a subclass of `contract`; see `admit`.

    `extra` holds arguments that the framework knows, such as `feature_dim`; those that the class accepts and the config
    does not set are passed on.

    Raises:
        ValueError: the class is not found or is another one than is expected, may not run, or does not accept an
            argument; the message begins with `key`.
    """
    config = ComponentConfig.parse(config, key)
    component = admit(config, key, contract)
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
        return construct(component, arguments, key, config.class_path)


def _adapters_in(component: type, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if issubclass(component, NamesAdapters):
        for place, (class_path, own) in component.adapters_in(arguments).items():
            yield place, class_path, own


def _public_name(contract: type) -> str:
    """Return the name of a class in the package above its module where that exports it."""
    package, _, _ = contract.__module__.rpartition(".")
    is_exported = package in sys.modules and vars(sys.modules[package]).get(contract.__name__) is contract
    return f"{package if is_exported else contract.__module__}.{contract.__qualname__}"


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
