"""What can be done to the LLM's layers without changing what they compute: recomputing them, and compiling them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from omni.llm.language_model import LanguageModel


def checkpoint_layers(llm: LanguageModel) -> None:
    """Keep only each layer's input for the backward pass, which computes the rest again (Chen et al. 2016,
    arXiv:1604.06174): about a third more time, and much less memory for long sequences.

    transformers' own switch only works in training mode, in which the frozen LLM never is: it would begin to drop out.

    Raises:
        ValueError: the architecture has no such layers.
    """
    llm.recomputes_layers = True
    for layer in _layers(llm, "activation_checkpointing"):
        layer.forward = partial(_run_checkpointed, layer.forward, llm)


def compile_layers(llm: LanguageModel, backend: str = "inductor") -> None:
    """Compile the layers with torch.compile for sequences of any length. Call it before `checkpoint_layers`.

    One layer is compiled, and all others use its code: compiling the whole LLM takes many times longer for little more.
    """
    for layer in _layers(llm, "compile"):
        layer.forward = torch.compile(layer.forward, dynamic=True, backend=backend)


def _layers(llm: LanguageModel, key: str) -> list[nn.Module]:
    found: list[nn.Module] = [
        module for module in llm.model.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    if not found:
        raise ValueError(
            f"train.{key}: {llm.config.name} has no layers that transformers marks as such; set it to false"
        )
    return found


def _run_checkpointed(forward: Callable[..., Any], llm: LanguageModel, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled() or kwargs.get("past_key_values") is not None:
        return forward(*args, **kwargs)  # inference: a layer run twice would write to the cache twice
    contexts = llm.recompute_contexts()
    options: dict[str, Any] = {} if contexts is None else {"context_fn": contexts}
    return checkpoint(forward, *args, use_reentrant=False, **options, **kwargs)
