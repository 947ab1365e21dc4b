"""What `python -m train --help` says: every key of a recipe, with its type, default and meaning."""

import dataclasses
import inspect
import re
from typing import get_type_hints

from omni.config import AdapterSourceConfig, LoRAConfig
from omni.config.components import ComponentConfig
from omni.recipe.schema import DataConfig, ParameterGroupConfig, Recipe, SourceConfig, TrainConfig

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


def _field_comments(config_class: type) -> dict[str, str]:
    """The comment above each field of a dataclass: fields are documented once, where they are defined."""
    pattern = re.compile(r"^    # (?P<comment>.+)\n    (?P<name>\w+):", re.MULTILINE)
    return {match["name"]: match["comment"] for match in pattern.finditer(inspect.getsource(config_class))}
