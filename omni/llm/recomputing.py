"""Generation that reads the whole conversation again for each token, for LLMs that cannot go on from their cache.

transformers' `generate` always keeps a cache when it begins with embeddings, and some LLMs go wrong with it: the state
of RWKV, or a conversation whose growth changes how all its positions are computed (LongRoPE of Phi 3).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn


@contextmanager
def recomputing(model: nn.Module, embed: Callable[[Tensor], Tensor], *, positions: bool = True) -> Iterator[None]:
    """Inside, `model.generate(inputs_embeds=...)` uses no cache.

    Args:
        model: the model of transformers, without PEFT's wrapper.
        embed: from token ids [B, L] to embeddings [B, L, D].
        positions: whether the model is told positions, which count from 0; else it counts itself.
    """

    def whole(
        input_ids: Tensor, inputs_embeds: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        """What the model is called with: the prompt's embeddings and those of all tokens generated so far."""
        embeds = torch.cat([inputs_embeds, embed(input_ids).to(inputs_embeds.dtype)], dim=1)
        if attention_mask is None:
            attention_mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        given = {"inputs_embeds": embeds, "attention_mask": attention_mask, "use_cache": False}
        if positions:
            given["position_ids"] = (attention_mask.cumsum(-1) - 1).clamp(min=0)
        return given

    # on this model alone; its class keeps its own
    cast(Any, model).prepare_inputs_for_generation = whole
    cast(Any, model)._prepare_cache_for_generation = lambda *_, **__: None  # some caches cannot even say their length
    try:
        yield
    finally:
        del model.prepare_inputs_for_generation, model._prepare_cache_for_generation
