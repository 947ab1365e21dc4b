"""Settings of `python -m omni import`, apart from the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omni.config.overrides import with_value
from omni.config.reading import read_value

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


def apply_overrides(model: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a model's plain config in which each `KEY=VALUE` is set; values are YAML, as in recipes.

    Raises:
        ValueError: an override has no `=`, its value is not YAML, or its key leads through something without keys.
    """
    values = dict(model)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ValueError(f"--set {override!r}: write KEY=VALUE, such as llm.attention=eager")
        name = f"--set {key}"
        values = with_value(values, key, read_value(text, name), name)
    return values
