"""The transformer block of vision transformers, with the key names that EVA-CLIP and Point-BERT share.

Shapes: B clips, N tokens, D width, H heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from omni.runtime.fast_linear import linear, linear_gelu


class Attention(nn.Module):
    """Self-attention by SDPA; queries and values may have a bias, keys never (it would change nothing)."""

    def __init__(self, width: int, num_heads: int, has_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width)) if has_bias else None
        self.v_bias = nn.Parameter(torch.zeros(width)) if has_bias else None
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        projected = linear(tokens, self.qkv.weight, bias)
        query, key, value = projected.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return linear(mixed.transpose(1, 2).flatten(2), self.proj.weight, self.proj.bias)


class MLP(nn.Module):
    """Two linear layers with exact GELU."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = linear_gelu(tokens, self.fc1.weight, self.fc1.bias)
        return linear(hidden, self.fc2.weight, self.fc2.bias)


class Block(nn.Module):
    """Attention and MLP, each after a norm and around a residual."""

    def __init__(self, width: int, num_heads: int, mlp_width: int, has_bias: bool, norm_epsilon: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=norm_epsilon)
        self.attn = Attention(width, num_heads, has_bias)
        self.norm2 = nn.LayerNorm(width, eps=norm_epsilon)
        self.mlp = MLP(width, mlp_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))
