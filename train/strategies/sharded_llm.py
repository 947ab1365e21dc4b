"""The frozen layers of the LLM, spread over the processes; all else is whole on every process.

What is spread: the weights of the decoder layers, nearly all there is of a large LLM. What is not: whatever is trained
(small; so a checkpoint looks the same whatever the strategy, and no frozen weight is ever gathered for one), and what
runs a number of times that depends on the data: encoders, and the token embeddings with the head.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn

from omni.llm.language_model import LanguageModel
from train.strategies.deepspeed_setup import start_deepspeed
from train.strategies.launch import CONFIGS, Launch
from train.strategies.lockstep import Lockstep


def shard_llm(llm: LanguageModel, launch: Launch, device: torch.device) -> Lockstep:
    """Spread the layers of `llm` over all processes as `launch` says, and move the rest of it to `device`.

    Raises:
        ValueError: an LLM that is quantised, or does not say which of its modules are layers.
    """
    if llm.config.quantization is not None:
        raise ValueError(
            f"model.llm.quantization: {llm.config.quantization} weights cannot be spread over processes; use "
            f"{CONFIGS}zero2.yaml or ddp.yaml, where every process holds the whole LLM, or no quantization"
        )
    _ = llm.can_pack, llm.answer_head  # found out by running the LLM, which each process can still do by itself
    decoder, layers = find_layers(llm)
    spread = _parameters_to_spread(layers)
    if launch.fsdp:
        _shard_by_fsdp(decoder, layers, spread, launch, device)
    else:
        start_deepspeed(device)
        with _only_modules_with(decoder, spread):
            _shard_by_deepspeed(decoder, launch)
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


def _shard_by_fsdp(
    decoder: nn.Module, layers: list[nn.Module], spread: set[nn.Parameter], launch: Launch, device: torch.device
) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    options: dict[str, Any] = {
        "mesh": mesh,
        "reshard_after_forward": launch.reshard_after_forward,
        "offload_policy": CPUOffloadPolicy() if launch.offload_parameters else OffloadPolicy(),
        "ignored_params": set(decoder.parameters()) - spread,
    }
    for layer in layers:
        fully_shard(layer, **options)
    fully_shard(decoder, **options)  # owns no weight; it lets layers gather the next one's weights ahead of time


def _shard_by_deepspeed(decoder: nn.Module, launch: Launch) -> None:
    from deepspeed.runtime.config import DeepSpeedConfig
    from deepspeed.runtime.zero.parameter_offload import DeepSpeedZeRoOffload
    from deepspeed.utils.timer import NoopTimer

    values = launch.deepspeed_config | {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
    values.pop("train_batch_size", None)
    zero = DeepSpeedConfig(values).zero_config
    DeepSpeedZeRoOffload(
        decoder,
        timers=NoopTimer(),
        ds_config=values,
        overlap_comm=bool(zero.overlap_comm),
        prefetch_bucket_size=zero.prefetch_bucket_size,
        max_reuse_distance=zero.max_reuse_distance,
        max_live_parameters=zero.max_live_parameters,
        param_persistence_threshold=zero.param_persistence_threshold,
        model_persistence_threshold=zero.model_persistence_threshold,
        offload_param_config=zero.offload_param,
    )


@contextlib.contextmanager
def _only_modules_with(root: nn.Module, parameters: set[nn.Parameter]) -> Iterator[None]:
    """While this is active, `root` has no modules inside but those that hold some of `parameters`.

    DeepSpeed puts its hooks on what it sees, and demands that all processes run all of it in the same order. The
    dropout of a LoRA, for example, runs only where the LoRA is switched on.
    """
    changed: list[tuple[nn.Module, dict[str, nn.Module | None]]] = []
    for parent in list(root.modules()):
        children = dict(parent._modules)
        kept: dict[str, nn.Module | None] = {
            name: child
            for name, child in children.items()
            if child is not None and any(parameter in parameters for parameter in child.parameters())
        }
        if len(kept) < len(children):
            changed.append((parent, children))
            parent._modules = kept
    try:
        yield
    finally:
        for parent, children in changed:
            parent._modules = children


def _move_whole_tensors(llm: LanguageModel, device: torch.device) -> None:
    """Move what is not spread: it was loaded into the CPU's memory, since the whole LLM may not fit on one device."""
    for tensor in (*llm.parameters(), *llm.buffers()):
        is_spread = hasattr(tensor, "ds_id") or hasattr(tensor, "device_mesh")
        if not is_spread and tensor.device != device:
            tensor.data = tensor.data.to(device)
