"""What running the prefixes of candidates leaves behind: keys and values, which all candidates share.

What all prefixes of a batch begin with (the chat template's first words, or a picture that all of them show) runs once.

Shapes: B prefixes, P prefix length, C tokens of the common beginning, R the rest, V vocabulary.
"""

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from omni.llm.attention_masks import additive_mask
from omni.llm.cross_attention import AttendedMedia, attending
from omni.llm.language_model import LanguageModel
from omni.model.batch import LLMInputs

# A common beginning is one more call of the LLM, which must save at least so many tokens: calls are what a GPU waits
# for, and tokens what a CPU does.
_WORTH_A_CALL = {"cpu": 64}
_WORTH_A_CALL_ELSEWHERE = 2048


@dataclass(frozen=True)
class Prefixes:
    """What running the prefixes left behind; all end at the same position."""

    cache: Any  # keys and values of transformers
    mask: Tensor  # [B, P] int64, 0 where a pad is
    logits: Tensor  # [B, V] at their last positions
    media: AttendedMedia | None  # what the layers look at

    def attending(self, rows: Tensor) -> AbstractContextManager[None]:
        """Inside, row r of the LLM looks at the media of prefix `rows[r]`."""
        return attending(None if self.media is None else self.media.rows(rows))

    def cache_of(self, rows: Tensor) -> Any:
        """A cache with the keys and values of prefix `rows[r]` in row r; the original stays as it is."""
        layers = getattr(self.cache, "layers", None)  # decoders with cross-attention have two caches in one
        simple = (DynamicLayer, DynamicSlidingWindowLayer)
        # these replace their tensors and never write into them
        if layers is not None and all(type(layer) in simple for layer in layers):
            cache = copy.copy(self.cache)
            cache.layers = [copy.copy(layer) for layer in layers]
        else:
            cache = copy.deepcopy(self.cache)
        if rows.tolist() != [*range(len(self.mask))]:
            cache.batch_select_indices(rows)
        return cache


def run_prefixes(llm: LanguageModel, batch: LLMInputs, media: AttendedMedia | None, *, may_share: bool) -> Prefixes:
    """Run prefixes that are padded on the left.

    media: what the layers look at.
    may_share: whether what all of them begin with may run once: for an LLM that can branch, and whose window holds the
        prefixes.
    """
    mask = batch.attention_mask
    assert mask is not None
    worth = _WORTH_A_CALL.get(llm.device.type, _WORTH_A_CALL_ELSEWHERE)
    others = len(mask) - 1
    if may_share and media is None and others * mask.shape[1] >= worth:
        shared = _common_beginning(batch.inputs_embeds, mask)
        if shared and others * shared >= worth:
            return _run_branches(llm, batch, mask, shared)
    with attending(media):
        output = llm(batch.inputs_embeds, 1, attention_mask=mask, position_ids=batch.position_ids, use_cache=True)
    return Prefixes(output.past_key_values, mask, output.logits[:, -1], media)


def _common_beginning(embeds: Tensor, mask: Tensor) -> int:
    """The number of first tokens that are the same in all prefixes [B, P, D]; the last token of each is its own."""
    lengths = mask.sum(1, keepdim=True)
    places = torch.arange(int(lengths.min()), device=mask.device) + mask.shape[1] - lengths
    rows = embeds[torch.arange(len(mask), device=mask.device)[:, None], places]
    same = (rows == rows[:1]).all(-1).all(0)
    return min(int(same.long().cumprod(0).sum()), places.shape[1] - 1)


def _run_branches(llm: LanguageModel, batch: LLMInputs, mask: Tensor, shared: int) -> Prefixes:
    """The beginning in one row, then the rest of each prefix behind it, padded on the left: [B, C + R]."""
    with attending(None):
        longest = int(mask.sum(1).argmax())  # the row without pads
        beginning = batch.inputs_embeds[longest : longest + 1, :shared]
        positions = torch.arange(shared, device=llm.device)[None]
        ones = mask.new_ones(1, shared)
        cache = llm(beginning, 1, attention_mask=ones, position_ids=positions, use_cache=True).past_key_values
        cache.batch_select_indices(torch.zeros(len(mask), dtype=torch.long, device=llm.device))
        # the beginning of a shorter prefix reaches into these columns, where it counts as pads
        real = (mask.cumsum(-1) > shared)[:, shared:]
        size = real.shape[1]
        causal = torch.ones(size, size, dtype=torch.bool, device=llm.device).tril()
        visible = torch.cat([mask.new_ones(len(mask), size, shared).bool(), causal & real[:, None]], dim=2)
        output = llm(
            batch.inputs_embeds[:, shared:],
            1,
            attention_mask=additive_mask(visible, llm.dtype)[:, None],
            position_ids=batch.position_ids[:, shared:],
            past_key_values=cache,
            use_cache=True,
        )
    whole = torch.cat([mask.new_ones(len(mask), shared), real.to(mask.dtype)], dim=1)
    return Prefixes(output.past_key_values, whole, output.logits[:, -1], None)
