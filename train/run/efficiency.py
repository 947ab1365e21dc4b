"""The keys of `train` that change time and memory of a step, and not what is computed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from omni.llm.activation_offload import OffloadActivations
from omni.llm.language_model import LanguageModel
from omni.model.encoder_stack import EncoderStack
from omni.recipe.schema import FLOAT16_LLM_REFUSED, LLM_KEYS, TrainConfig


def choose_pack_attention(llm: LanguageModel, config: TrainConfig, device: torch.device) -> None:
    """Settle how samples in one row are kept apart on `device`, where the LLM will run (`omni.llm.packed_attention`).

    Found by forward passes, and so before the LLM is compiled or spread over processes.

    Raises:
        ValueError: the way that the recipe names does not work.
    """
    if config.pack_attention != "auto":
        llm.use_pack_attention(config.pack_attention)
    elif llm.pack_attention == "split" and device.type != "cpu":
        llm.use_pack_attention("mask")  # split makes a call for each sample: many small ones for a GPU


def llm_of(model: EncoderStack, config: TrainConfig) -> LanguageModel | None:
    """Return the LLM of what is trained; None where it has none, such as a joint space.

    Raises:
        ValueError: there is none, and the recipe asks for something that is about the LLM; or it is in float16.
    """
    if model.language_model is None:
        for key in LLM_KEYS:
            if getattr(config, key):
                raise ValueError(f"train.{key} belongs to a model with an LLM; a joint space has none")
    elif model.language_model.dtype == torch.float16:
        raise ValueError(
            f"{FLOAT16_LLM_REFUSED}. A model folder is changed by OmniModel.load(DIR, dtype='bfloat16').save(DIR)"
        )
    return model.language_model


def prepare_llm(llm: LanguageModel, config: TrainConfig) -> Callable[[], AbstractContextManager[Any]]:
    """Set up the LLM as the recipe says; return what makes the context that a forward pass runs in.

    Raises:
        ValueError: naming the key that this machine, this installation or this LLM cannot follow.
    """
    if config.fused_loss:
        llm.use_fused_loss()
    if config.offload_activations and llm.device.type == "cpu":
        raise ValueError("train.offload_activations: the LLM is on the CPU, so its activations are there already")
    assert llm.answer_head is None or llm.answer_head.model  # found by a forward pass, before the LLM may be sharded
    if config.compile:
        llm.compile_layers()
    if config.activation_checkpointing:
        llm.checkpoint_layers()
    return OffloadActivations if config.offload_activations else nullcontext
