"""Stages of one recipe, such as align, then answer: each a run of its own that begins with the model of the last."""

from collections.abc import Mapping
from typing import Any

# What a stage may set; everything else is the same for all stages.
STAGE_KEYS = ("name", "data", "train", "objective", "add_modalities", "add_lora")
_REPLACED_WHOLE = ("objective", "add_lora")  # the others are laid over those of the recipe key by key


def refuse_overridden(values: Mapping[str, Any], key: str) -> None:
    """Refuse to set a top-level key such as `train.lr` that stages set themselves: it would do nothing there.

    Raises:
        ValueError: naming the keys that have an effect.
    """
    section, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    stages = values.get("stages")
    found = []
    for index, stage in enumerate(stages if isinstance(stages, list) else []):
        part = stage.get(section) if isinstance(stage, Mapping) else None
        if part is not None and section in STAGE_KEYS and (section in _REPLACED_WHOLE or name in part):
            found.append(f"--stages.{index}.{key}")
    if found:
        raise ValueError(f"--{key} would have no effect: the stages set it themselves. Use {', '.join(found)}")


def expand_stages(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Recipe values with a list `stages` -> the values of one recipe for each stage; without, the recipe itself.

    A stage takes the keys of the top level, with its own laid over them. The last stage writes to `train.output_dir`,
    an earlier one to the folder of its name in it.

    Raises:
        ValueError: a stage without a name, two of one name, or a key that a stage cannot set.
    """
    values = dict(values)
    stages = values.pop("stages", None)
    if stages is None:
        return [values]
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, Mapping) for stage in stages):
        raise ValueError(f"recipe.stages: expected a list of stages with the keys {list(STAGE_KEYS)}, found {stages!r}")
    names = [stage.get("name") for stage in stages]
    for index, (stage, name) in enumerate(zip(stages, names, strict=True)):
        unknown = sorted(set(stage) - set(STAGE_KEYS))
        if unknown:
            raise ValueError(f"recipe.stages[{index}]: unknown key {unknown[0]!r}. Allowed: {list(STAGE_KEYS)}")
        if not isinstance(name, str) or not name.isidentifier() or names.count(name) > 1:
            raise ValueError(f"recipe.stages[{index}].name: {name!r} must be a word of its own, such as align")
        if "output_dir" in (stage.get("train") or {}):
            raise ValueError(f"recipe.stages[{index}].train.output_dir: set it once, in train.output_dir")
    output_dir = (values.get("train") or {}).get("output_dir", "")
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
