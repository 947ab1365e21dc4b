"""Attention over a pack: several samples in one row, each seeing itself alone.

Four ways that compute the same:

- `reference`: the block-diagonal mask written out and handed to the LLM. Slow and obvious; the others are held to it.
- `mask`: transformers finds the samples by their positions, which start again at 0, and makes the mask itself.
- `split`: every layer cuts the row into its samples and attends within each. No mask, so the cost grows with the sum of
  the squares of the samples' lengths and not with the square of the pack's.
- `varlen`: cumulative lengths go to a kernel that does the same in one call: flash-attn's where the LLM was loaded with
  `attention: flash_attention_2`.

Shapes: T length of the pack, H heads, D width of a head.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from omni.attention_checks import additive_mask

PackAttention = Literal["reference", "mask", "split", "varlen"]

SPLIT = "omni_split"  # the name under which transformers knows `split_attention`


def register() -> None:
    """Make `split_attention` known to transformers; without a pack it is transformers' own sdpa, masks included."""
    AttentionInterface.register(SPLIT, split_attention)
    AttentionMaskInterface.register(SPLIT, sdpa_mask)


def pack_arguments(
    kind: PackAttention, lengths: Sequence[int], device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """What the LLM is called with, beside embeddings and positions, for samples of `lengths` tokens in one row."""
    if kind == "mask":
        return {"attention_mask": None}
    if kind == "reference":
        return {"attention_mask": additive_mask(block_diagonal_visibility(lengths, device), dtype)}
    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
    longest = max(lengths)
    # transformers' own names (FlashAttentionKwargs): its flash attention takes them instead of looking for samples
    arguments = {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
    # Four-dimensional masks go to the attention function as they are, which keeps transformers from making a [T, T]
    # one; `split_attention` looks at the lengths alone.
    unused = None if kind == "varlen" else torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    return {"attention_mask": unused, **arguments}


def block_diagonal_visibility(lengths: Sequence[int], device: torch.device) -> Tensor:
    """[1, 1, T, T] bool: token t looks at the tokens of its own sample, up to itself."""
    sample = torch.repeat_interleave(torch.tensor(lengths, device=device))
    position = torch.arange(len(sample), device=device)
    return ((sample[:, None] == sample[None, :]) & (position[:, None] >= position[None, :]))[None, None]


def split_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query [B, H, T, D], key and value [B, H or fewer, T, D] -> [B, T, H, D], as transformers' attention functions.

    With `cu_seq_lens_q` (where samples begin, and T) each sample of the row attends to itself, else it is plain sdpa.
    """
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    lengths = cu_seq_lens_q.diff().tolist()
    outputs = [
        sdpa_attention_forward(module, *parts, _window_mask(parts[0], sliding_window), **options)[0]
        for parts in zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    ]
    return torch.cat(outputs, dim=1), None


def _window_mask(query: Tensor, window: int | None) -> Tensor | None:
    """[L, L] for a layer that looks back fewer than `window` tokens, where the sample is longer than that."""
    length = query.shape[2]
    if window is None or length <= window:
        return None  # causal, says sdpa_attention_forward
    position = torch.arange(length, device=query.device)
    distance = position[:, None] - position[None, :]
    return ((distance >= 0) & (distance < window))[None, None]
