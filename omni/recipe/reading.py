"""Read a recipe: YAML and overrides from the command line (`--train.lr 1e-4`) become a checked `Recipe`."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from omni.config import from_dict
from omni.config.overrides import with_value
from omni.config.reading import read_value, read_yaml, shown
from omni.recipe.schema import OBJECTIVES, Recipe
from omni.recipe.stages import blame_stage, expand_stages, refuse_overridden
from omni.runtime.files import write_atomically

_FLAG = "trust_code"


def load_recipes(path: str | Path, overrides: Sequence[str] = (), shipped: Path | None = None) -> list[Recipe]:
    """Read the recipe at `path`: one `Recipe` for each of its stages (see `omni.recipe.stages`), most often one.

    Args:
        overrides: command-line words such as `["--train.lr", "1e-4"]`.
        shipped: folder whose recipes the error names if there is no such file; None = it names none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not YAML, a key is unknown (the message names the closest allowed one), or a value has
            the wrong type or range.
    """
    path = Path(path)
    if not os.path.isfile(path):  # which no name is too long for, unlike that of pathlib
        names = [] if shipped is None else sorted(recipe.name for recipe in shipped.glob("*.yaml"))
        raise FileNotFoundError(f"there is no recipe {path}" + (f"; those in {shipped} are {names}" if names else ""))
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} is no recipe: it cannot be read as UTF-8 text ({error})") from error
    values = read_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a recipe holds the keys data, train and model, not {shown(values)}")
    for key, value in parse_overrides(overrides):
        refuse_overridden(values, key)
        values = with_value(values, key, value, f"--{key}")
    return [_read_stage(values, index, stage) for index, stage in enumerate(expand_stages(values))]


def _read_stage(values: dict[str, Any], index: int, stage: dict[str, Any]) -> Recipe:
    try:
        return from_dict(Recipe, _with_objective(stage), key="recipe")
    except ValueError as error:
        raise ValueError(blame_stage(values, index, str(error))) from error


def parse_overrides(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each override: `["--train.lr", "1e-4"]` or `["--train.lr=1e-4"]` -> `("train.lr", 1e-4)`.

    `--trust_code` needs no value, as in other commands.

    Raises:
        ValueError: a word is not of this form, or its value is missing or not YAML.
    """
    remaining = [*words]
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("--") or len(word) == 2:
            raise ValueError(f"unexpected {word!r} on the command line: write --KEY VALUE, such as --train.lr 1e-4")
        key, equals, text = word[2:].partition("=")
        is_last = not remaining or remaining[0].startswith("--")
        if not equals:
            if key != _FLAG and not remaining:
                raise ValueError(f"--{key} needs a value; write --{key} VALUE")
            text = "true" if key == _FLAG and is_last else remaining.pop(0)
        yield key, read_value(text, f"--{key}")


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe, with its overrides and defaults, as YAML that `load_recipes` reads."""
    values = {name: value for name, value in dataclasses.asdict(recipe).items() if value is not None}
    command = "# accelerate launch -m train recipe.yaml\n"
    write_atomically(path, command + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _with_objective(values: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe with the class path of its objective for a name; a joint space has `bind` by default."""
    objective = values.get("objective", "bind" if values.get("joint_space") is not None else None)
    if not isinstance(objective, str):
        return values
    if objective not in OBJECTIVES:
        raise ValueError(f"recipe.objective: {objective!r} is none of {[*OBJECTIVES]}, nor keys class_path, init_args")
    return values | {"objective": {"class_path": OBJECTIVES[objective]}}
