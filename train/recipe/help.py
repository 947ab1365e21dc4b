"""The text of `python -m train --help`: every key of a recipe with its type, default and meaning."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from omni.recipe.schema import Recipe
from omni.recipe.stages import STAGES, StageConfig
from train.recipe.field_comments import field_comments

DRY_RUN = "--dry_run"
USAGE = """usage: python -m train RECIPE.yaml [--KEY VALUE ...]
       accelerate launch -m train RECIPE.yaml [--KEY VALUE ...]
       accelerate launch --multi_gpu --num_processes 2 -m train ...    (several processes; on CPUs too)
       python -m train --help [PART]    (every key of a recipe, or those of a part such as model.llm)

Trains what the recipe says. Every key of the recipe can be set on the command line, for example
  --train.lr 1e-4 --train.output_dir runs/second --data.train.0.path my/manifest.jsonl
Values are YAML: null, true, 8, "text", [a, list].
--dry_run checks data, model and output folder, shows prompts, parameters and an estimate of memory, and stops.
Exit status: 0 done, 1 failed, 2 wrong recipe, 130 or 143 interrupted and saved (the same command continues).
"""
_IN_KEYS = (
    "In the keys below, NAME stands for a name such as that of a modality, and 0 for a place in a list, from 0.\n"
)
NAME, PLACE = "NAME", "0"  # what paths have for keys of dictionaries and places in lists


@dataclass(frozen=True)
class Key:
    """A key of a recipe: its path, such as `model.modalities.NAME.cue`, and what help says of it."""

    path: str
    kind: str
    default: str | None  # as YAML; None = the key must be given
    comment: Sequence[str]

    def lines(self) -> list[str]:
        """Return the lines of the help text."""
        default = " (required)" if self.default is None else f" = {self.default}"
        return [f"  --{self.path}: {self.kind}{default}", *(f"        {line}" for line in self.comment)]


@dataclass(frozen=True)
class Section:
    """The keys of one dataclass at one place of a recipe."""

    title: str
    keys: list[Key]


def describe_keys(part: str = "") -> str:
    """Return the help text of all keys of a recipe, or of those that belong to `part`, such as `model.llm`.

    In `part`, a name may stand for NAME and any number for a place in a list.

    Raises:
        ValueError: a recipe has no such part; the message names the closest one.
    """
    sections = [*recipe_sections()]
    wanted = part.removeprefix("--").split(".") if part else []
    if wanted[:1] == [STAGES] and len(wanted) > 3:
        wanted = wanted[2:]  # a stage has the keys of the recipe
    found = [Section(one.title, [key for key in one.keys if _belongs(key.path, wanted)]) for one in sections]
    if not any(one.keys for one in found):
        raise ValueError(f"--help {part}: a recipe has no such part{_closest(wanted, sections)}")
    lines = [] if part else [USAGE, _IN_KEYS]
    for section in found:
        if section.keys:
            lines += [section.title, *(line for key in section.keys for line in key.lines()), ""]
    return "\n".join(lines)


def recipe_sections() -> Iterator[Section]:
    """Yield the keys of a recipe, dataclass by dataclass: those of the top level first, then those below each key."""
    own, *below = _sections(Recipe, "")
    comment = ["runs in turn, each beginning with the model of the one before; null = one run, without stages"]
    stages = Key(STAGES, f"list[{StageConfig.__name__}] | null", "null", comment)
    yield Section(own.title, [*own.keys, stages])
    yield from below
    yield from _sections(StageConfig, f"{STAGES}.{PLACE}")


def _sections(config_class: type, path: str) -> Iterator[Section]:
    hints, comments = get_type_hints(config_class), field_comments(config_class)
    prefix = f"{path}." if path else ""
    fields = dataclasses.fields(config_class)
    keys = [
        Key(f"{prefix}{one.name}", _type_in_words(hints[one.name]), _default(one), comments.get(one.name, []))
        for one in fields
    ]
    summary = (config_class.__doc__ or "").partition("\n")[0]
    yield Section(f"{summary} ({path or 'top level'})", keys)
    for one in fields:
        for nested, place in _nested(hints[one.name]):
            yield from _sections(nested, f"{prefix}{one.name}{place}")


def _nested(hint: Any) -> Iterator[tuple[type, str]]:
    """Yield the dataclasses in a type, and what stands between the path of its key and their keys."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint, ""
    origin = get_origin(hint)
    between = f".{PLACE}" if origin is list else f".{NAME}" if origin is dict else ""
    for argument in get_args(hint):
        for nested, place in _nested(argument):
            yield nested, between + place


def _type_in_words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is type(None):
        return "null"
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_type_in_words, arguments))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_type_in_words, arguments))}]"
    return hint.__name__ if isinstance(hint, type) else str(hint).removeprefix("typing.")


def _default(one: dataclasses.Field[Any]) -> str | None:
    if one.default is not dataclasses.MISSING:
        value = one.default
    elif one.default_factory is not dataclasses.MISSING:
        value = one.default_factory()
    else:
        return None
    value = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.strip().removesuffix("...").strip()


def _belongs(path: str, wanted: Sequence[str]) -> bool:
    names = path.split(".")
    return len(names) >= len(wanted) and all(
        name in (given, NAME) or (name == PLACE and given.isdigit()) for name, given in zip(names, wanted, strict=False)
    )


def _closest(wanted: Sequence[str], sections: Sequence[Section]) -> str:
    close = difflib.get_close_matches(
        ".".join(wanted), [key.path for one in sections for key in one.keys], n=1, cutoff=0
    )
    return f"; did you mean {close[0]}?" if close else ""
