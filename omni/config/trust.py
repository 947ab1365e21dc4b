"""What may run when a folder is opened: a model's folder names classes, and to build one is to run its code.

A recipe and a command line are their user's own and are trusted. A folder may be somebody else's. Of what it names,
only classes that omni itself defines are built, unless its user says `trust_code`, or this machine has it on record.

The record is in `$OMNI_HOME/trusted_code`. Whenever a model is trained or saved, the classes from outside of omni that
were built for it are put there: class path, arguments, and the SHA-256 of the code that importing the class runs. What
names the very same is built without a word, wherever the folder lies: it can run nothing that its user has not run
before with the same arguments. With another argument, or once the code has changed, it is refused again.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omni.config.class_path import ClassPath
from omni.runtime.files import write_atomically
from omni.starter import home

TRUST_CODE_HELP = "run code that the folder names and that is neither omni's nor was trained here; see SECURITY.md"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Origin:
    """Who names the classes that are built now."""

    # the file that names them, which somebody else may have written; None = a recipe or the user's own program
    file: str | None = None
    # whether the user has said that what folders name may run
    trust_code: bool = False
    # classes with arguments that the user's recipe names as well
    in_recipe: frozenset[str] = frozenset()


_USER = _Origin()
_origin: ContextVar[_Origin] = ContextVar("origin", default=_USER)
# What this process has built: class with arguments -> its code at that time.
_built: dict[str, str] = {}
# Classes with arguments -> others that these arguments name by class path alone.
_named: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
# Of these, what could not be recorded because the folder cannot be written to.
_unrecorded: set[tuple[str, str]] = set()


@contextmanager
def opening(file: str | Path, trust_code: bool) -> Iterator[None]:
    """Build inside, at any depth, what the folder of `file` names: only what may run.

    Args:
        file: the `config.yaml`, or several in words, for errors.
        trust_code: whether the user trusts whoever wrote it. What was said for a folder around it holds here too.
    """
    before = _origin.get()
    token = _origin.set(replace(before, file=str(file), trust_code=trust_code or before.trust_code))
    try:
        yield
    finally:
        _origin.reset(token)


@contextmanager
def following_recipe(components: Iterable[tuple[str, Mapping[str, Any]]], trust_code: bool) -> Iterator[None]:
    """Let folders that are opened inside name what their user's recipe names as well.

    Args:
        components: class paths and arguments in the recipe.
        trust_code: whether the recipe says that any class of a folder may run.
    """
    before = _origin.get()
    named = before.in_recipe | {_identity(*one) for one in _with_inner(components)}
    token = _origin.set(replace(before, in_recipe=named, trust_code=trust_code or before.trust_code))
    try:
        yield
    finally:
        _origin.reset(token)


def is_from_folder() -> bool:
    """Return whether what is built now was named by a folder."""
    return _origin.get().file is not None


def check_trusted(path: ClassPath, arguments: Mapping[str, Any], key: str) -> None:
    """Refuse a class whose import, or construction, would run what nobody has vouched for. Nothing is imported.

    Args:
        path: the class.
        arguments: those of its constructor.
        key: where it is named, such as `model.modalities.image.encoder`.

    Raises:
        ValueError: it may not run; the message names the class, the file that names it, and the way out.
    """
    origin = _origin.get()
    identity = _identity(path.text, arguments)
    if origin.file is None or origin.trust_code or path.is_own or identity in origin.in_recipe:
        return
    code = path.code_digest()
    if code is not None and (_record(identity, code).is_file() or (identity, code) in _unrecorded):
        return
    why = "is not part of omni, and was not trained here with these arguments"
    if any(_record(identity, "").parent.glob("*.json")):
        why = f"has changed since it was trained here{'' if path.file is None else f' (the file {path.file})'}"
    raise ValueError(
        f"{key}: {origin.file} names the class {path.text}, which {why}. Building it runs its code, with all your "
        "rights. If you trust whoever wrote the folder and that code, say so: trust_code=True in Python, --trust_code "
        "on the command line, or trust_code: true in a recipe; SECURITY.md tells more"
    )


def note_built(
    path: ClassPath, arguments: Mapping[str, Any], named: Sequence[tuple[str, Mapping[str, Any]]] = ()
) -> None:
    """Note for `remember` that a class is built, after `check_trusted`.

    named: classes and arguments that `arguments` name by class path alone.
    """
    identity = _identity(path.text, arguments)
    code = None if path.is_own else path.code_digest()
    if code is not None:
        _built.setdefault(identity, code)
    if named:
        _named[identity] = [*named]


def remember(components: Iterable[tuple[str, Mapping[str, Any]]], folder: Path) -> None:
    """Record what is not omni's among `components`, and was built by this process, so that it may run again.

    Args:
        components: class paths and arguments, of which a model consists.
        folder: where the model is saved; for people who read the record.
    """
    for class_path, arguments in _with_inner(components):
        identity = _identity(class_path, arguments)
        code = _built.get(identity)
        if code is not None and not _record(identity, code).is_file():
            entry = {"class_path": class_path, "init_args": _plain(arguments), "sha256": code}
            _write(identity, code, entry | {"saved_in": str(folder.absolute())})


def components_in(value: Any, place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield place, class path and arguments of what the arguments of a component name, not what these name in turn."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            yield place, value["class_path"], value.get("init_args") or {}
            return
        for name, item in value.items():
            yield from components_in(item, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from components_in(item, f"{place}[{index}]")


def _with_inner(components: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield components and those that their arguments name, at any depth."""
    for class_path, arguments in components:
        yield class_path, arguments
        yield from _with_inner(_named.get(_identity(class_path, arguments), ()))
        yield from _with_inner((named, own) for _, named, own in components_in(arguments))


def _write(identity: str, code: str, entry: Mapping[str, Any]) -> None:
    try:
        write_atomically(_record(identity, code), json.dumps(entry, indent=1))
    except OSError as error:
        if (identity, code) not in _unrecorded:
            logger.warning(
                "%s cannot be recorded as your own code (%s): to load the model again you will have to say trust_code",
                entry["class_path"],
                error,
            )
        _unrecorded.add((identity, code))


def _record(identity: str, code: str) -> Path:
    return home() / "trusted_code" / identity / f"{code}.json"


def _identity(class_path: str, arguments: Any) -> str:
    text = json.dumps([class_path, _plain(arguments)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value as JSON and YAML hold it, so that it is the same before and after it was in a file."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
