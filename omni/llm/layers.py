"""Find the layers of an LLM, and change how they run without changing what they compute: recompute, compile."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from omni.llm.answer_head import Contexts


def marked_layers(model: nn.Module) -> list[nn.Module]:
    """Return the modules that transformers marks as layers, in their order; none for some architectures."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def decoder_layers(decoder: nn.Module, num_layers: int) -> list[nn.Module] | None:
    """Return the layers by their numbers: the one list of `num_layers` marked modules; None = there is not just one."""
    lists = [module for module in decoder.modules() if isinstance(module, nn.ModuleList)]
    found = [
        layers
        for layers in lists
        if len(layers) == num_layers and all(isinstance(layer, GradientCheckpointingLayer) for layer in layers)
    ]
    return [*found[0]] if len(found) == 1 else None


def checkpoint_layers(layers: Sequence[nn.Module], contexts: Callable[[], Contexts | None]) -> None:
    """Keep only each layer's input for the backward pass, which computes the rest again (Chen et al. 2016,
    arXiv:1604.06174).

    `contexts` is asked in each forward pass for the `context_fn` of torch's checkpoint, or None. transformers' own
    switch only works in training mode, in which the frozen LLM never is: it would begin to drop out.
    """
    for layer in layers:
        layer.forward = partial(_run_checkpointed, layer.forward, contexts)


def compile_layers(layers: Sequence[nn.Module], backend: str) -> None:
    """Compile the layers with torch.compile for sequences of any length.

    One layer is compiled, and all others use its code: compiling the whole LLM takes many times longer for little more.
    """
    for layer in layers:
        layer.forward = torch.compile(layer.forward, dynamic=True, backend=backend)


def restore_layers(layers: Sequence[nn.Module]) -> None:
    """Undo `checkpoint_layers` and `compile_layers`."""
    for layer in layers:
        layer.__dict__.pop("forward", None)


def _run_checkpointed(
    forward: Callable[..., Any], contexts: Callable[[], Contexts | None], *args: Any, **kwargs: Any
) -> Any:
    if not torch.is_grad_enabled() or kwargs.get("past_key_values") is not None:
        return forward(*args, **kwargs)  # inference: a layer run twice would write to the cache twice
    found = contexts()
    options: dict[str, Any] = {} if found is None else {"context_fn": found}
    return checkpoint(forward, *args, use_reentrant=False, **options, **kwargs)
