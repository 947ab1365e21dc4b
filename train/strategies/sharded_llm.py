"""The frozen layers of the LLM, spread over the processes; all else is whole on every process.

What is spread: the weights of the decoder layers, nearly all there is of a large LLM. What is not: whatever is trained
(small; so a checkpoint looks the same whatever the strategy, and no frozen weight is ever gathered for one), and what
runs a number of times that depends on the data: encoders, and the token embeddings with the head.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from omni.llm.language_model import LanguageModel
from omni.recipe.schema import TrainConfig
from train.strategies.environment import CONFIGS
from train.strategies.lockstep import Lockstep

# Spreads a decoder, its layers and, of their weights, those of the set over all processes
Spread = Callable[[nn.Module, list[nn.Module], set[nn.Parameter]], None]


def check_sharding(llm: LanguageModel | None, config: TrainConfig) -> None:
    """Refuse what does not go together with an LLM whose layers are spread over the processes.

    Raises:
        ValueError: there is no LLM, it is quantised, or its layers are to be compiled.
    """
    if llm is None:
        raise ValueError(f"ZeRO-3 and FSDP2 spread an LLM, and a joint space has none: use {CONFIGS}zero2.yaml")
    if llm.config.quantization is not None:
        raise ValueError(
            f"model.llm.quantization: {llm.config.quantization} weights cannot be spread over processes; use "
            f"{CONFIGS}zero2.yaml or ddp.yaml, where every process holds the whole LLM, or no quantization"
        )
    if config.compile:
        raise ValueError(
            "train.compile: layers that are spread over processes (ZeRO-3, FSDP2) are not compiled here; "
            f"set it to false, or launch with {CONFIGS}zero2.yaml or ddp.yaml"
        )


def spread_layers(llm: LanguageModel, device: torch.device, spread: Spread) -> Lockstep:
    """Spread the layers of `llm` over all processes by `spread`, and move the rest of it to `device`.

    Raises:
        ValueError: an LLM that does not say which of its modules are layers.
    """
    _ = (
        llm.can_pack,
        llm.can_pad,
        llm.answer_head,
    )  # found out by running the LLM, which each process can still do by itself
    decoder, layers = find_layers(llm)
    spread(decoder, layers, _parameters_to_spread(layers))
    _move_whole_tensors(llm, device)
    return Lockstep(decoder, llm.hidden_size, llm.dtype, device)


def find_layers(llm: LanguageModel) -> tuple[nn.Module, list[nn.Module]]:
    """The LLM without its head, and its layers, which transformers knows as modules that must not be split.

    Raises:
        ValueError: it knows none.
    """
    model = cast(Any, llm.causal_lm)
    decoder = model.get_decoder()
    names = set(model._no_split_modules or ())
    layers = [module for module in decoder.modules() if type(module).__name__ in names and module is not decoder]
    if not layers:
        raise ValueError(
            f"model.llm.name: transformers does not say which modules of {llm.config.name!r} are its layers, so it "
            f"cannot be spread over processes; use {CONFIGS}zero2.yaml or ddp.yaml"
        )
    return decoder, layers


def _parameters_to_spread(layers: list[nn.Module]) -> set[nn.Parameter]:
    """Frozen weights of the layers, without LoRAs: which of these run depends on the media at hand."""
    named = [pair for layer in layers for pair in layer.named_parameters()]
    return {parameter for name, parameter in named if not parameter.requires_grad and "lora_" not in name}


def _move_whole_tensors(llm: LanguageModel, device: torch.device) -> None:
    """Move what is not spread: it was loaded into the CPU's memory, since the whole LLM may not fit on one device."""
    for tensor in (*llm.parameters(), *llm.buffers()):
        is_spread = hasattr(tensor, "ds_id") or hasattr(tensor, "device_mesh")
        if not is_spread and tensor.device != device:
            tensor.data = tensor.data.to(device)
