"""Configs of models and joint spaces: dataclasses, class paths, and strict reading of YAML."""

from omni.config.reading import from_dict, to_dict
from omni.config.schema import (
    AdapterSourceConfig,
    DType,
    EncoderConfig,
    JointSpaceConfig,
    LLMConfig,
    LoRAConfig,
    ModalityConfig,
    ModelConfig,
    PromptConfig,
    SpaceModalityConfig,
)

__all__ = [
    "AdapterSourceConfig",
    "DType",
    "EncoderConfig",
    "JointSpaceConfig",
    "LLMConfig",
    "LoRAConfig",
    "ModalityConfig",
    "ModelConfig",
    "PromptConfig",
    "SpaceModalityConfig",
    "from_dict",
    "to_dict",
]
