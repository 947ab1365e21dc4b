"""What the user of `import` says beside the files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

INSTRUCTION_TOKENIZER = "bert-base-uncased"  # of all published Q-Formers


@dataclass(frozen=True)
class Settings:
    """Settings of one import; where a folder holds its LLM and tokenizer, these need not be named."""

    llm: str = ""
    dtype: str = "float32"  # of the LLM
    encoder_dtype: str = "float32"
    instruction_tokenizer: str = ""
    licence: str | None = None  # of the published weights, where the user knows better
    leave_out: Sequence[str] = ()  # patterns of tensors that are known not to be needed
    overrides: Sequence[str] = field(default_factory=tuple)  # KEY=VALUE, keys as in config.yaml below `model`


def apply_overrides(model: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set `KEY=VALUE` (a YAML value) in a model's plain config, in place, and return it.

    Raises:
        ValueError: no `=`, a value that is no YAML, or a key below something that has no keys.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        *parents, last = key.split(".")
        if not equals or not all([*parents, last]):
            raise ValueError(f"--set {override!r}: write KEY=VALUE, such as llm.attention=eager")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {key}: {text!r} is no YAML value: {error}") from error
        place: Any = model
        for name in parents:
            if place.get(name) is None:
                place[name] = {}
            place = place[name]
            if not isinstance(place, dict):
                raise ValueError(f"--set {key}: {name} is {place!r}, which has no keys")
        place[last] = value
    return model
