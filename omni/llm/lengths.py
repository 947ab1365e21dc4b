"""Lengths at which an LLM computes otherwise: windows of local attention, and positions that are scaled by length.

What a trial with a few tokens could not tell is read from the configuration of transformers and from its modules.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# sliding_window, window_size (GPT-Neo), attention_window_size (RecurrentGemma), attention_chunk_size (Llama 4),
# local_attention (ModernBERT); `max_window_layers` and the like count something else.
_WINDOWS = re.compile(r"(^|_)(sliding_windows?|window|window_size|local_attention|attention_chunk_size)$")
# RoPE whose frequencies are the same at any length (transformers' `ROPE_INIT_FUNCTIONS`)
_STATIC_ROPE = {"default", "linear", "llama3", "yarn", "proportional", "dynamic"}
_ROPE_TYPE, _SWITCH = "rope_type", "original_max_position_embeddings"
_LENGTHS = ("max_position_embeddings", "max_seq_len", "max_sequence_length", "context_length")
UNLIMITED = 1 << 30


def attention_window(config: Any) -> int | None:
    """Return how many tokens back local attention layers look, at least; None = no key says that there are any.

    `config` is the configuration of transformers of the text part.
    """
    found = [
        value
        for name, value in _entries(config.to_dict())
        if _WINDOWS.search(name) and isinstance(value, int) and not isinstance(value, bool) and value > 0
    ]
    return min(found, default=None)


def length_switches(config: Any) -> tuple[int, ...]:
    """Return the lengths beyond which all positions of a sequence are computed otherwise, in their order.

    LongRoPE (Phi 3, https://arxiv.org/abs/2402.13753) has one set of frequencies for sequences of up to
    `original_max_position_embeddings` tokens and another for longer ones. Dynamic scaling only begins beyond
    `max_position_embeddings`, which no conversation here exceeds.
    """
    ropes = [
        value for _, value in _entries({"": config.to_dict()}) if isinstance(value, Mapping) and _ROPE_TYPE in value
    ]
    return tuple(sorted({rope[_SWITCH] for rope in ropes if rope[_ROPE_TYPE] not in _STATIC_ROPE and _SWITCH in rope}))


@torch.no_grad()
def context_length(model: nn.Module, config: Any, embeds: Tensor | None) -> int:
    """Return the most tokens, media tokens included, that the LLM can read.

    That is what its configuration says, and no more than a learned table of positions holds: a short run on `embeds`
    [L, D] shows which embedding is looked up by position, and from which row on; None = the model cannot run here.
    """
    named = [getattr(config, name, None) for name in _LENGTHS]
    limits = [value for value in named if isinstance(value, int) and value > 1]
    tables = [] if embeds is None else _position_tables(model, embeds)
    return min([*limits, *tables], default=UNLIMITED)


def _position_tables(model: nn.Module, embeds: Tensor) -> list[int]:
    """How many positions each learned table of positions of the model holds."""
    positions = torch.arange(len(embeds), device=embeds.device)
    found: list[int] = []

    class Lookups(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
            if func is functional.embedding:
                rows = args[0].flatten()
                if len(rows) == len(positions) and bool((rows - rows[0] == positions).all()):
                    found.append(len(args[1]) - int(rows[0]))  # OPT's first two rows are for pads
            return func(*args, **kwargs or {})

    with Lookups():
        cast(Any, model)(inputs_embeds=embeds[None].clone(), use_cache=False)
    return found


def _entries(values: Any) -> Iterator[tuple[str, Any]]:
    """All keys of nested mappings and lists with their values."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield str(name), value
            yield from _entries(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _entries(value)
