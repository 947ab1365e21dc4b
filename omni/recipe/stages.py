"""Stages of one recipe, such as align, then answer: each is a run that begins with the model of the one before."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omni.config.other_names import hint_at
from omni.config.reading import shown

STAGES = "stages"  # the key of a recipe


@dataclass
class StageConfig:
    """One of several runs in turn; what it does not set is as the recipe says."""

    # word of its own, such as align; an earlier stage writes to the folder of this name in train.output_dir
    name: str
    # keys of data that this stage lays over those of the recipe
    data: dict[str, Any] = field(default_factory=dict)
    # keys of train that this stage lays over those of the recipe, all but output_dir
    train: dict[str, Any] = field(default_factory=dict)
    # objective of this stage, in place of that of the recipe
    objective: str | dict[str, Any] | None = None
    # modalities that this stage lays over add_modalities of the recipe
    add_modalities: dict[str, Any] = field(default_factory=dict)
    # LoRA that this stage adds, in place of add_lora of the recipe
    add_lora: dict[str, Any] | None = None


STAGE_KEYS = tuple(one.name for one in dataclasses.fields(StageConfig))
_REPLACED_WHOLE = ("objective", "add_lora")
_LAID_OVER = ("data", "train", "add_modalities")  # key by key


def refuse_overridden(values: Mapping[str, Any], key: str) -> None:
    """Refuse an override of a top-level key such as `train.lr` that stages set themselves: it would have no effect.

    Raises:
        ValueError: a stage sets the key; the message names the keys that have an effect.
    """
    section, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    stages = values.get(STAGES)
    found = []
    for index, stage in enumerate(stages if isinstance(stages, list) else []):
        part = stage.get(section) if isinstance(stage, Mapping) else None
        is_set = section in _REPLACED_WHOLE or (isinstance(part, Mapping) and name in part)
        if part is not None and section in STAGE_KEYS and is_set:
            found.append(f"--stages.{index}.{key}")
    if found:
        raise ValueError(f"--{key} would have no effect: the stages set it themselves. Use {', '.join(found)}")


def expand_stages(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the values of one recipe for each stage in the list `stages`; without such a list, the recipe itself.

    A stage takes the keys of the top level, with its own laid over them. The last stage writes to `train.output_dir`,
    an earlier one to the folder of its name in it.

    Raises:
        ValueError: a stage has no name or that of another one, or sets a key that a stage cannot set.
    """
    values = dict(values)
    stages = values.pop(STAGES, None)
    if stages is None:
        return [values]
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, Mapping) for stage in stages):
        found = shown(stages)
        raise ValueError(f"recipe.stages: expected a list of stages with the keys {list(STAGE_KEYS)}, found {found}")
    _check_laid_over(values, "recipe")
    names = [stage.get("name") for stage in stages]
    for index, (stage, name) in enumerate(zip(stages, names, strict=True)):
        unknown = sorted(map(str, set(stage) - set(STAGE_KEYS)))
        if unknown:
            hint = hint_at(unknown[0], STAGE_KEYS)
            raise ValueError(f"recipe.stages[{index}].{unknown[0]}: unknown key; {hint}")
        if not isinstance(name, str) or not name.isidentifier() or names.count(name) > 1:
            raise ValueError(f"recipe.stages[{index}].name: {shown(name)} must be a word of its own, such as align")
        _check_laid_over(stage, f"recipe.stages[{index}]")
        if "output_dir" in (stage.get("train") or {}):
            raise ValueError(f"recipe.stages[{index}].train.output_dir: set it once, in train.output_dir")
    if len(stages) > 1 and "model" not in values and "init_from" not in values:
        raise ValueError("recipe.stages: later stages go on with the LLM of model or init_from; neither is set")
    output_dir = (values.get("train") or {}).get("output_dir")
    if not isinstance(output_dir, str):
        raise ValueError(f"recipe.train.output_dir: stages need a folder here, found {shown(output_dir)}")
    recipes: list[dict[str, Any]] = []
    for index, stage in enumerate(stages):
        recipe = dict(values)
        for key in ("data", "train"):
            if stage.get(key):
                recipe[key] = {**(values.get(key) or {}), **stage[key]}
        for key in _REPLACED_WHOLE:
            if key in stage:
                recipe[key] = stage[key]
        if stage.get("add_modalities"):
            recipe["add_modalities"] = {**(values.get("add_modalities") or {}), **stage["add_modalities"]}
        if index < len(stages) - 1:
            recipe["train"] = {**recipe["train"], "output_dir": f"{output_dir}/{stage['name']}"}
        if index > 0:
            del recipe["model" if "model" in recipe else "init_from"]
            recipe.pop("init_adapters", None)  # the adapters have been begun
            recipe["init_from"] = f"{recipes[-1]['train']['output_dir']}/best"
        recipes.append(recipe)
    return recipes


def _check_laid_over(values: Mapping[str, Any], where: str) -> None:
    """Raise ValueError unless what stages lay over each other key by key has keys."""
    for key in _LAID_OVER:
        if values.get(key) is not None and not isinstance(values[key], Mapping):
            raise ValueError(f"{where}.{key}: expected keys and values, found {shown(values[key])}")


def blame_stage(values: Mapping[str, Any], index: int, message: str) -> str:
    """Return an error's message on the recipe of a stage with the key where the recipe's file has it.

    Args:
        values: those of the whole recipe, before `expand_stages`.
        index: the number of the stage.
        message: begins with a key, such as `recipe.train.lr`, which may be of the stage or of the top level.
    """
    stages = values.get(STAGES)
    key = re.match(r"(?:recipe\.)?(\w+)(?:\.(\w+))?", message)
    if stages is None or key is None:
        return message
    part = stages[index].get(key[1])
    if part is None or key[1] not in STAGE_KEYS or (key[1] not in _REPLACED_WHOLE and key[2] not in part):
        return message
    return f"recipe.stages[{index}].{message.removeprefix('recipe.')}"
