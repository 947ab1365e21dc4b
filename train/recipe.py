"""Reads a recipe: YAML and overrides from the command line (`--train.lr 1e-4`) into a checked `Recipe`."""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from omni.adapter_sources import AdapterSourceConfig
from omni.components import ComponentConfig
from omni.config import LoRAConfig, from_dict
from omni.files import write_atomically
from omni.yaml_text import read_yaml
from train.config import OBJECTIVES, DataConfig, ParameterGroupConfig, Recipe, SourceConfig, TrainConfig
from train.stages import expand_stages, refuse_overridden

DRY_RUN = "--dry_run"
USAGE = """usage: python -m train RECIPE.yaml [--KEY VALUE ...]
       accelerate launch -m train RECIPE.yaml [--KEY VALUE ...]
       accelerate launch --multi_gpu --num_processes 2 -m train ...    (several processes; on CPUs too)

Trains what the recipe says. Every key of the recipe can be set on the command line, for example
  --train.lr 1e-4 --train.output_dir runs/second --data.train.0.path my/manifest.jsonl
Values are YAML: null, true, 8, "text", [a, list].
--dry_run checks data, model and output folder, shows prompts, parameters and an estimate of memory, and stops.
Exit status: 0 done, 1 failed, 2 wrong recipe, 130 or 143 interrupted and saved (the same command continues).
"""


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe of one stage, or the last stage of one that has several; see `load_recipes`."""
    return load_recipes(path, overrides)[-1]


def load_recipes(path: str | Path, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Read the recipe at `path`, one `Recipe` for each of its stages (see `train.stages`); most have one.

    `overrides` are command-line words such as `["--train.lr", "1e-4"]`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no YAML, an unknown key (the message names the closest allowed one), a wrong type or value.
    """
    path = Path(path)
    if not path.is_file():
        shipped = sorted(recipe.name for recipe in RECIPES.glob("*.yaml"))
        raise FileNotFoundError(f"there is no recipe {path}; those in {RECIPES} are {shipped}")
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


def describe_keys() -> str:
    """Every key of a recipe with its type, default and meaning, for `--help`."""
    lines = [USAGE]
    sections = {"": Recipe, "data.": DataConfig, "data.train.0.": SourceConfig, "train.": TrainConfig}
    sections |= {"train.parameter_groups.0.": ParameterGroupConfig, "objective.": ComponentConfig}
    sections |= {"add_lora.": LoRAConfig, "init_adapters.NAME.": AdapterSourceConfig}
    for prefix, config_class in sections.items():
        lines.append(f"{config_class.__doc__} ({prefix.rstrip('.') or 'top level'})")
        comments = _field_comments(config_class)
        hints = get_type_hints(config_class)
        for item in dataclasses.fields(config_class):
            hint = hints[item.name]
            kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            default = "" if item.default is dataclasses.MISSING else f" = {item.default!r}"
            lines.append(f"  --{prefix}{item.name}: {kind}{default}\n        {comments[item.name]}")
        lines.append("")
    return "\n".join(lines)


RECIPES = Path(__file__).parent / "recipes"


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


def _field_comments(config_class: type) -> dict[str, str]:
    """The comment above each field of a dataclass: fields are documented once, where they are defined."""
    pattern = re.compile(r"^    # (?P<comment>.+)\n    (?P<name>\w+):", re.MULTILINE)
    return {match["name"]: match["comment"] for match in pattern.finditer(inspect.getsource(config_class))}
