"""Attention over a pack of short samples: padded to one batch in every layer, then a few products for all of them.

A kernel call for each sample costs more than its arithmetic when samples have some dozens of tokens. Rows of pads are
zeros; the heads that share a key are more rows of one product; the gradient is written out, so that a layer keeps one
node in the graph and no index is ever added to. Softmax attention: Vaswani et al. 2017, arXiv:1706.03762.

Shapes: T length of the pack, S samples (what they share is the first), L queries and M keys of each with pads, H heads,
K heads of keys, G = H / K, D width of a head.
"""

import functools
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

MAX_LENGTH = 128  # of a sample: scores of longer ones are too many to keep
MAX_PADS = 1.0  # of the rows that are tokens


@dataclass(frozen=True)
class PaddedLayout:
    """Where each token of a pack stands in a padded batch."""

    samples: int
    length: int
    shared: int
    query_rows: Tensor  # [T] in [S * L]
    key_rows: Tensor  # [T - shared] in [S * M]: those of the samples' own keys
    bias: Tensor  # [S, 1, 1, L, M]: 0 where a query sees a key, else -inf

    @property
    def keys(self) -> int:
        """M: what all share stands before each sample's own."""
        return self.shared + self.length


def suits(lengths: tuple[int, ...], shared: int) -> bool:
    """Whether samples of these lengths, behind `shared` tokens that all see, are short and alike enough."""
    length = max(*lengths, shared)
    rows = length * (len(lengths) + (shared > 0))
    return length <= MAX_LENGTH and rows <= (1 + MAX_PADS) * (sum(lengths) + shared)


@functools.lru_cache(maxsize=8)  # the same in every layer, but for windows
def layout_of(lengths: tuple[int, ...], shared: int, window: int | None) -> PaddedLayout:
    """The layout on the CPU; each token sees fewer than `window` tokens back."""
    queries = [shared, *lengths] if shared else [*lengths]
    length = max(queries)
    rows = torch.cat([torch.arange(count) + i * length for i, count in enumerate(queries)])
    sample, place = rows[shared:] // length, rows[shared:] % length
    position = torch.arange(shared + length)
    distance = position[shared:, None] - position[None, :]  # [L, M]
    bias = _bias(distance, window).repeat(len(queries), 1, 1)
    if shared:
        position = torch.arange(length)
        bias[0, :, shared:] = -torch.inf
        bias[0, :, :shared] = _bias(position[:, None].clamp(max=shared - 1) - position[None, :shared], window)
    return PaddedLayout(
        len(queries), length, shared, rows, sample * (shared + length) + shared + place, bias[:, None, None]
    )


def attend(query: Tensor, key: Tensor, value: Tensor, layout: PaddedLayout, scale: float) -> Tensor:
    """query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D]; values may have another width."""
    return cast(Tensor, _PaddedAttention.apply(query, key, value, layout, scale))


def _bias(distance: Tensor, window: int | None) -> Tensor:
    visible = (distance >= 0) & (distance < (window or len(distance) + distance.shape[1]))
    return torch.zeros(visible.shape).masked_fill(~visible, -torch.inf)


class _PaddedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: PaddedLayout, scale: float) -> Tensor:
        heads, groups = query.shape[1], query.shape[1] // key.shape[1]
        queries = _pad_queries(query.transpose(1, 2), layout, groups)
        keys, values = _pad_keys(key, layout), _pad_keys(value, layout)
        bias = layout.bias.to(query.dtype).expand(-1, key.shape[1], groups, -1, -1).reshape(len(keys), -1, layout.keys)
        weights = torch.baddbmm(bias, queries, keys.transpose(1, 2), alpha=scale).softmax(-1)  # [S * K, G * L, M]
        ctx.save_for_backward(queries, keys, values, weights)
        ctx.layout, ctx.scale, ctx.heads, ctx.groups = layout, scale, heads, groups
        return _take_queries(weights @ values, layout, heads, groups)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator hides its parameters' names
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        queries, keys, values, weights = ctx.saved_tensors
        layout = ctx.layout
        gradient = _pad_queries(grad_outputs[0], layout, ctx.groups)
        of_values = weights.transpose(1, 2) @ gradient
        of_scores = torch.ops.aten._softmax_backward_data(gradient @ values.transpose(1, 2), weights, -1, weights.dtype)
        of_scores.mul_(ctx.scale)
        of_queries = _take_queries(of_scores @ keys, layout, ctx.heads, ctx.groups).transpose(1, 2)
        of_keys = _sum_keys(of_scores.transpose(1, 2) @ queries, layout)
        return of_queries, of_keys, _sum_keys(of_values, layout), None, None


def _pad_queries(rows: Tensor, layout: PaddedLayout, groups: int) -> Tensor:
    """[1, T, H, D] -> [S * K, G * L, D], with zeros where no token is."""
    heads, width = rows.shape[2:]
    padded = rows.new_zeros(layout.samples * layout.length, heads * width)
    padded.index_copy_(0, layout.query_rows, rows.reshape(-1, heads * width))
    parted = padded.view(layout.samples, layout.length, heads // groups, groups, width)
    return parted.permute(0, 2, 3, 1, 4).reshape(-1, groups * layout.length, width)


def _take_queries(padded: Tensor, layout: PaddedLayout, heads: int, groups: int) -> Tensor:
    """[S * K, G * L, D] -> [1, T, H, D]."""
    parted = padded.view(layout.samples, heads // groups, groups, layout.length, -1)
    rows = parted.permute(0, 3, 1, 2, 4).reshape(layout.samples * layout.length, -1)
    return rows.index_select(0, layout.query_rows).view(1, -1, heads, padded.shape[-1])


def _pad_keys(values: Tensor, layout: PaddedLayout) -> Tensor:
    """[1, K, T, D] -> [S * K, M, D]: before each sample's own, what all share."""
    heads, width = values.shape[1], values.shape[3]
    rows = values.transpose(1, 2).reshape(-1, heads * width)
    padded = rows.new_zeros(layout.samples, layout.keys, heads * width)
    padded[:, : layout.shared] = rows[: layout.shared]
    padded.view(-1, heads * width).index_copy_(0, layout.key_rows, rows[layout.shared :])
    return padded.view(layout.samples, layout.keys, heads, width).transpose(1, 2).reshape(-1, layout.keys, width)


def _sum_keys(padded: Tensor, layout: PaddedLayout) -> Tensor:
    """[S * K, M, D] -> [1, K, T, D]: what all share gets the sum over the samples."""
    by_sample = padded.view(layout.samples, -1, layout.keys, padded.shape[-1]).transpose(1, 2)  # [S, M, K, D]
    own = by_sample.reshape(layout.samples * layout.keys, -1).index_select(0, layout.key_rows)
    shared = by_sample[:, : layout.shared].sum(0).flatten(1)
    return torch.cat([shared, own]).view(1, -1, *by_sample.shape[2:]).transpose(1, 2)
