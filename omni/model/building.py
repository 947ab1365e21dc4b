"""Build a model from its config, and add to a model what it does not have yet: a modality, or a LoRA."""

from typing import TypeVar

import torch

from omni.config import LoRAConfig, ModalityConfig, ModelConfig
from omni.encoders.building import check_encoder
from omni.llm.language_model import SHARED_LORA
from omni.llm.loading import load_llm
from omni.model.card import ModelCard
from omni.model.core import ModelCore
from omni.model.modality import build_modality, share_adapters

ModelT = TypeVar("ModelT", bound=ModelCore)


def build_from_config(
    model_class: type[ModelT], config: ModelConfig, device: str | torch.device | None, card: ModelCard | None
) -> ModelT:
    """Build an untrained `model_class`: frozen LLM and encoders with their weights, new adapters, new LoRA.

    New weights come from torch's global random state: seed it before.
    """
    for name, modality in config.modalities.items():
        check_encoder(modality, name)  # a mistake shows now, and not after the LLM was loaded
    llm = load_llm(config.llm, device)
    modalities = {name: build_modality(modality, name, llm) for name, modality in config.modalities.items()}
    share_adapters(modalities)
    if config.llm.lora is not None:
        llm.add_lora(config.llm.lora, [SHARED_LORA] if config.llm.lora.mode == "shared" else [*config.modalities])
    model = model_class(llm, modalities, config.system, card, config.prompt)
    model.modalities.to(device or "cpu")
    return model.train(False)


def add_modality(model: ModelCore, name: str, config: ModalityConfig) -> None:
    """Give `model` a new modality, with a new LoRA of its own if the LLM has one for each modality.

    What the model computes without media of the new modality stays the same, bit by bit. New weights come from torch's
    global random state: seed it before.

    Raises:
        ValueError: the model has a modality of that name, or the config does not fit (see `build_modality`).
    """
    if name in model.modalities:
        raise ValueError(f"the model has a modality {name!r} already; it has {sorted(model.modalities)}")
    modality = build_modality(config, name, model.llm).to(model.device)
    share_adapters({other: model.modality(other) for other in model.modalities} | {name: modality})
    model.add(name, modality)
    lora = model.llm.config.lora
    if lora is not None and lora.mode == "per_modality":
        model.llm.add_lora(lora, [name])
        model.llm.activate_lora(model.llm.lora_names())
    model.train(model.training)


def add_lora(model: ModelCore, config: LoRAConfig) -> None:
    """Give the LLM of `model` a LoRA, or one for each modality. It begins without effect.

    Raises:
        ValueError: the LLM has one already, or PEFT refuses the config.
    """
    if model.llm.has_lora:
        raise ValueError(f"the model has LoRAs already: {model.llm.lora_names()}")
    model.llm.add_lora(config, [SHARED_LORA] if config.mode == "shared" else [*model.modalities])
