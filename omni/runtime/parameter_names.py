"""Names of weights, the same with and without LoRA, and the patterns by which recipes choose them."""

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

_PEFT_MODEL = re.compile(r"(^|\.)llm\.model\.base_model\.model\.")
_MOST_SHOWN = 8


def plain_name(name: str) -> str:
    """Return the name that a weight of an `OmniModel` has while the LLM has no LoRA: PEFT moves all of them.

    A LoRA's own weights are named after the layer that they stand in: `llm.model.[...].q_proj.lora_A.default.weight`.
    """
    return _PEFT_MODEL.sub(r"\1llm.model.", name).replace(".base_layer.", ".")


def named_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return plain name -> parameter, with an entry for each name of a tied weight."""
    return {plain_name(name): weight for name, weight in module.named_parameters(remove_duplicate=False)}


def matches(name: str, pattern: str) -> bool:
    """Return whether the glob `pattern` (`*` also crosses dots) means the parameter `name` or a module around it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def select(names: Iterable[str], patterns: Sequence[str], key: str) -> list[str]:
    """Return the `names` that any of `patterns` means, in their order; errors name `key`.

    Raises:
        ValueError: a pattern that matches nothing, with the names that are near.
    """
    names = list(names)
    for index, pattern in enumerate(patterns):
        if not any(matches(name, pattern) for name in names):
            raise ValueError(f"{key}[{index}]: {pattern!r} matches nothing. {near_names(pattern, names)}")
    return [name for name in names if any(matches(name, pattern) for pattern in patterns)]


def near_names(pattern: str, names: Collection[str]) -> str:
    """Return a sentence with the parameters and modules whose names are nearest to `pattern`."""
    if not names:
        return "There is none to choose from"
    modules = {".".join(parts[:end]) for parts in (name.split(".") for name in names) for end in range(1, len(parts))}
    near = difflib.get_close_matches(pattern, sorted({*names, *modules}), n=_MOST_SHOWN, cutoff=0.5)
    last = next((word for word in reversed(re.split(r"[.*?\[\]]+", pattern)) if len(word) > 1), "")
    near += [name for name in sorted(modules, key=len) if last and last in name.split(".")[-1] and name not in near]
    if near:
        return f"Near are: {', '.join(near[:_MOST_SHOWN])}"
    return f"There are: {', '.join(sorted(_outermost(modules)))}"


def _outermost(modules: Collection[str]) -> list[str]:
    return [name for name in modules if name.count(".") <= 1]
