"""The transformer that all trunks of ImageBind share: pre-norm blocks, with an extra key and value in some.

Key names are those of the published checkpoint, which come from `nn.MultiheadAttention`.
Shapes: B clips, N tokens, D width, H heads.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from omni.encoders.imagebind.sizes import TrunkSize
from omni.encoders.layers import LAST, run_blocks
from omni.runtime.fast_linear import linear, linear_gelu

BLOCK_NORM_EPSILON = 1e-6  # in blocks, the norm before them, and heads; the stems have 1e-5
MLP_RATIO = 4


class Attention(nn.Module):
    """Self-attention by SDPA; with `extra_key`, one learned key and value that every query sees as well."""

    def __init__(self, width: int, num_heads: int, extra_key: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.bias_k = nn.Parameter(torch.empty(1, 1, width)) if extra_key else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, width)) if extra_key else None
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, is_causal: bool = False) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        query, key, value = linear(tokens, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return self._attend(query, key, value, is_causal)

    def at(self, tokens: Tensor, position: Tensor, is_causal: bool = False) -> Tensor:
        """Return the output of `forward` at one position [B] of each row, [B, D], without the other queries."""
        width = tokens.shape[-1]
        here = tokens[torch.arange(len(tokens), device=tokens.device), position]
        query = linear(here, self.in_proj_weight[:width], self.in_proj_bias[:width])[:, None]
        projected = linear(tokens, self.in_proj_weight[width:], self.in_proj_bias[width:])
        key, value = projected.chunk(2, dim=-1)
        mask = None
        if is_causal:
            mask = torch.arange(tokens.shape[1], device=tokens.device) <= position[:, None]
            mask = mask[:, None, None]
        return self._attend(query, key, value, mask=mask)[:, 0]

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, mask: Tensor | None = None
    ) -> Tensor:
        if self.bias_k is not None and self.bias_v is not None:
            key = torch.cat([key, self.bias_k.expand(len(key), -1, -1)], dim=1)
            value = torch.cat([value, self.bias_v.expand(len(value), -1, -1)], dim=1)
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=is_causal)
        return linear(mixed.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)


class MLP(nn.Module):
    """Two linear layers with exact GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = linear_gelu(tokens, self.fc1.weight, self.fc1.bias)
        return linear(hidden, self.fc2.weight, self.fc2.bias)


class Block(nn.Module):
    """Attention and MLP, each after a norm and around a residual."""

    def __init__(self, width: int, num_heads: int, extra_key: bool) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads, extra_key)
        self.norm_1 = nn.LayerNorm(width, eps=BLOCK_NORM_EPSILON)
        self.norm_2 = nn.LayerNorm(width, eps=BLOCK_NORM_EPSILON)
        self.mlp = MLP(width)

    def forward(self, tokens: Tensor, is_causal: bool = False) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        tokens = tokens + self.attn(self.norm_1(tokens), is_causal)
        return tokens + self.mlp(self.norm_2(tokens))

    def at(self, tokens: Tensor, position: Tensor, is_causal: bool = False) -> Tensor:
        """Return the output of `forward` at one position [B] of each row, [B, D], for a fraction of the work."""
        here = tokens[torch.arange(len(tokens), device=tokens.device), position]
        here = here + self.attn.at(self.norm_1(tokens), position, is_causal)
        return here + self.mlp(self.norm_2(here))


class Trunk(nn.Module):
    """A stack of blocks, after a norm where the modality has one (vision)."""

    def __init__(self, size: TrunkSize, pre_norm: bool, extra_key: bool, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal
        norms = [nn.LayerNorm(size.width, eps=BLOCK_NORM_EPSILON)] if pre_norm else []
        self.pre_transformer_layer = nn.Sequential(*norms)
        self.blocks = nn.ModuleList(Block(size.width, size.num_heads, extra_key) for _ in range(size.num_blocks))

    def forward(self, tokens: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        """[B, N, D] -> [B, N, D]; several layers joined by width."""
        blocks = [partial(block, is_causal=self.is_causal) for block in self.blocks]
        return run_blocks(blocks, self.pre_transformer_layer(tokens), layers)

    def at(self, tokens: Tensor, position: Tensor) -> Tensor:
        """Return the output of `forward` at one position [B] of each row, [B, D]; the last block runs on it alone."""
        tokens = self.pre_transformer_layer(tokens)
        *earlier, last = self.blocks
        for block in earlier:
            tokens = block(tokens, self.is_causal)
        assert isinstance(last, Block)
        return last.at(tokens, position, self.is_causal)
