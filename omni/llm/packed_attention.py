"""Attention over a pack: several samples in one row, each seeing itself alone, and perhaps a beginning that they share.

Four ways that compute the same:

- `reference`: the block-diagonal mask written out and handed to the LLM. Slow and obvious; the others are held to it.
- `mask`: transformers finds the samples by their positions, which start again at 0, and makes the mask itself.
- `split`: every layer cuts the row into its samples and attends within each, so that the cost grows with the sum of the
  squares of the samples' lengths and not with the square of the pack's. Short samples are padded to one batch there
  (`omni.llm.packed_attention_cpu`); otherwise each is attended to alone, without a mask.
- `varlen`: cumulative lengths go to a kernel that does the same in one call: flash-attn's where the LLM was loaded with
  `attention: flash_attention_2`.

Shapes: T length of the pack, H heads, D width of a head.
"""

import functools
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from omni.llm import packed_attention_cpu
from omni.llm.attention_masks import additive_mask

PackAttention = Literal["reference", "mask", "split", "varlen"]

SHARING: tuple[PackAttention, ...] = ("reference", "split")  # ways in which samples may share their beginning
SPLIT = "omni_split"  # the name under which transformers knows `split_attention`


def register() -> None:
    """Make `split_attention` known to transformers; without a pack it is transformers' own sdpa, masks included."""
    AttentionInterface.register(SPLIT, split_attention)
    AttentionMaskInterface.register(SPLIT, sdpa_mask)


def pack_arguments(
    kind: PackAttention, lengths: Sequence[int], device: torch.device, dtype: torch.dtype, shared: int = 0
) -> dict[str, Any]:
    """Return what the LLM is called with, besides embeddings and positions, for samples of `lengths` tokens in one row.

    Before them stand `shared` tokens that all of them see; only the ways in `SHARING` can do it.
    """
    assert shared == 0 or kind in SHARING, kind
    if kind == "mask":
        return {"attention_mask": None}
    if kind == "reference":
        return {"attention_mask": additive_mask(block_diagonal_visibility(lengths, device, shared), dtype)}
    queries = [shared, *lengths] if shared else [*lengths]
    keys = [shared, *(shared + length for length in lengths)] if shared else queries
    # transformers' own names (FlashAttentionKwargs): its flash attention takes them instead of looking for samples
    arguments = {
        "cu_seq_lens_q": torch.tensor([0, *accumulate(queries)], dtype=torch.int32, device=device),
        "cu_seq_lens_k": torch.tensor([0, *accumulate(keys)], dtype=torch.int32, device=device),
        "max_length_q": max(queries),
        "max_length_k": max(keys),
    }
    # Four-dimensional masks go to the attention function as they are, which keeps transformers from making a [T, T]
    # one; `split_attention` looks at the lengths alone.
    unused = None if kind == "varlen" else torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    return {"attention_mask": unused, **arguments}


def block_diagonal_visibility(lengths: Sequence[int], device: torch.device, shared: int = 0) -> Tensor:
    """[1, 1, T, T] bool: token t looks at the shared ones and those of its own sample, up to itself."""
    sample = torch.repeat_interleave(torch.tensor([shared, *lengths], device=device))
    position = torch.arange(len(sample), device=device)
    own = (sample[:, None] == sample[None, :]) | (sample[None, :] == 0)
    return (own & (position[:, None] >= position[None, :]))[None, None]


@torch.compiler.disable  # other lengths in every pack: compiled code would be made again and again, for nothing
def split_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query [B, H, T, D], key and value [B, H or fewer, T, D] -> [B, T, H, D], as transformers' attention functions.

    With `cu_seq_lens_q` (where samples begin, and T) each sample of the row attends to itself, else it is plain sdpa.
    A sample with more keys than queries (`cu_seq_lens_k`) sees those of the row's first part before its own.
    """
    if cu_seq_lens_q is None or cu_seq_lens_k is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    lengths = cu_seq_lens_q.diff().tolist()
    before = [keys - own for keys, own in zip(cu_seq_lens_k.diff().tolist(), lengths, strict=True)]
    shared = before[-1]  # of the first part, which all others look at
    samples = tuple(lengths[1:] if shared else lengths)
    dtype, is_on_cpu = query.dtype, query.device.type == "cpu"
    is_padded = is_on_cpu and packed_attention_cpu.suits(samples, shared) and _is_plain(module, options)
    if is_on_cpu and dtype.itemsize == 2 and not (is_padded and dtype == torch.bfloat16):
        query, key, value = query.float(), key.float(), value.float()  # kernels are slower in half precision
    if is_padded:
        layout = packed_attention_cpu.layout_of(samples, shared, sliding_window)
        scale = options.get("scaling") or query.shape[-1] ** -0.5
        return packed_attention_cpu.attend(query, key, value, layout, scale).to(dtype), None
    parts = [*zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)]
    _, shared_key, shared_value = parts[0]
    outputs = []
    for (own_query, own_key, own_value), earlier in zip(parts, before, strict=True):
        keys = torch.cat([shared_key, own_key], 2) if earlier else own_key
        values = torch.cat([shared_value, own_value], 2) if earlier else own_value
        mask = _visible(own_query.shape[2], earlier, sliding_window, query.device)
        outputs.append(sdpa_attention_forward(module, own_query, keys, values, mask, **options)[0])
    return torch.cat(outputs, dim=1).to(dtype), None


def _is_plain(module: nn.Module, options: dict[str, Any]) -> bool:
    """Whether transformers' sdpa would do no more than softmax of scaled products behind a causal mask."""
    causal = options.get("is_causal")
    more = [options.get(name) for name in ("position_bias", "softcap", "cache")]
    is_causal = getattr(module, "is_causal", True) if causal is None else causal
    return is_causal and not options.get("dropout") and all(one is None for one in more)


@functools.lru_cache(maxsize=1024)  # the same lengths come in every layer
def _visible(own: int, shared: int, window: int | None, device: torch.device) -> Tensor | None:
    """[1, 1, L, S + L] for a sample of `own` tokens behind `shared` ones, in a layer that looks back fewer than
    `window` tokens."""
    length = shared + own
    if shared == 0 and (window is None or length <= window):
        return None  # causal, says sdpa_attention_forward
    position = torch.arange(length, device=device)
    distance = position[shared:, None] - position[None, :]
    return ((distance >= 0) & (distance < (window or length)))[None, None]
