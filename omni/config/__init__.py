"""What a model is made of, and how that is read: dataclasses, class paths, strict YAML."""

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
    from_dict,
    to_dict,
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
