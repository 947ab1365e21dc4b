"""Reads a recipe: YAML and overrides from the command line (`--train.lr 1e-4`) into a checked `Recipe`."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from omni.config import from_dict
from omni.config.yaml_text import read_yaml
from omni.recipe.schema import OBJECTIVES, Recipe
from omni.recipe.stages import expand_stages, refuse_overridden
from omni.runtime.files import write_atomically


def load_recipes(path: str | Path, overrides: Sequence[str] = (), shipped: Path | None = None) -> list[Recipe]:
    """Read the recipe at `path`, one `Recipe` for each of its stages (see `omni.recipe.stages`); most have one.

    Args:
        overrides: command-line words such as `["--train.lr", "1e-4"]`.
        shipped: folder of recipes that the error names where there is no such file; None = it names none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no YAML, an unknown key (the message names the closest allowed one), a wrong type or value.
    """
    path = Path(path)
    if not path.is_file():
        names = [] if shipped is None else sorted(recipe.name for recipe in shipped.glob("*.yaml"))
        raise FileNotFoundError(f"there is no recipe {path}" + (f"; those in {shipped} are {names}" if names else ""))
    values = read_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a recipe holds the keys data, train and model, not {values!r}")
    for key, value in parse_overrides(overrides):
        refuse_overridden(values, key)
        values = _with_value(values, key.split("."), value, key)
    return [from_dict(Recipe, _with_objective(stage), key="recipe") for stage in expand_stages(values)]


def parse_overrides(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """`["--train.lr", "1e-4"]` or `["--train.lr=1e-4"]` -> `("train.lr", 1e-4)`."""
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("--") or len(word) == 2:
            raise ValueError(f"unexpected {word!r} on the command line: write --KEY VALUE, such as --train.lr 1e-4")
        key, equals, text = word[2:].partition("=")
        if not equals:
            text = next(remaining, None)
            if text is None:
                raise ValueError(f"--{key} needs a value; write --{key} VALUE")
        yield key, read_yaml(text, f"--{key}")


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML that `load_recipe` reads: overrides and defaults included."""
    values = {name: value for name, value in dataclasses.asdict(recipe).items() if value is not None}
    command = "# accelerate launch -m train recipe.yaml\n"
    write_atomically(path, command + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _with_value(values: Any, names: Sequence[str], value: Any, key: str) -> Any:
    """A copy of nested dictionaries and lists with `value` at the path `names`; missing dictionaries are made.

    A copy, because YAML's anchors make one object stand in several places, of which only one is meant.
    """
    if not names:
        return value
    name, *rest = names
    if isinstance(values, list):
        index = _list_index(values, name, key)
        return [*values[:index], _with_value(values[index], rest, value, key), *values[index + 1 :]]
    if not isinstance(values, dict | None):
        raise ValueError(f"--{key}: what {name!r} should be set in is {values!r}, which has no keys")
    values = values or {}
    return values | {name: _with_value(values.get(name), rest, value, key)}


def _with_objective(values: dict[str, Any]) -> dict[str, Any]:
    """The recipe with the class path of its objective in place of a name; of a joint space it need not say any."""
    objective = values.get("objective", "bind" if values.get("joint_space") is not None else None)
    if not isinstance(objective, str):
        return values
    if objective not in OBJECTIVES:
        raise ValueError(f"recipe.objective: {objective!r} is none of {[*OBJECTIVES]}, nor keys class_path, init_args")
    return values | {"objective": {"class_path": OBJECTIVES[objective]}}


def _list_index(values: list[Any], text: str, key: str) -> int:
    if not text.isdigit() or int(text) >= len(values):
        raise ValueError(f"--{key}: {text!r} must be a number from 0 to {len(values) - 1}, the place in the list")
    return int(text)
