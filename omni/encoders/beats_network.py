"""The network of BEATs (arXiv:2212.09058): patches of a spectrogram through a transformer with relative positions.

The gate is WavLM's (Chen et al. 2021, arXiv:2110.13900, section 3.2), the buckets of distances are T5's (Raffel et al.
2020, section 2.1), the scaling of residuals is DeepNet's (Wang et al. 2022, arXiv:2203.00555).
Shapes: B windows, F frames, M mel bands, N tokens, D width, H heads.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omni.encoders.layers import LAST, run_blocks
from omni.runtime.fast_linear import linear, linear_gelu

PATCH = 16  # frames and bands of a patch
GATE_WIDTH = 8  # each half is summed to one gate


@dataclass(frozen=True)
class BeatsSize:
    """Size of the network; the defaults are those of the published checkpoints."""

    patch_width: int = 512
    width: int = 768
    num_blocks: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    position_kernel: int = 128
    position_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], source: Path) -> "BeatsSize":
        """Read the settings (`cfg`) of a checkpoint; what it does not name is as published.

        Raises ValueError for a variant of the network that is not the published one.
        """
        for name, value in _FIXED_SETTINGS.items():
            if settings.get(name, value) != value:
                raise ValueError(f"{source}: {name} is {settings[name]!r}; only {value!r} is supported")
        return cls(**{ours: settings[theirs] for ours, theirs in _SETTING_NAMES.items() if theirs in settings})


_SETTING_NAMES = {
    "patch_width": "embed_dim",
    "width": "encoder_embed_dim",
    "num_blocks": "encoder_layers",
    "num_heads": "encoder_attention_heads",
    "mlp_width": "encoder_ffn_embed_dim",
    "position_kernel": "conv_pos",
    "position_groups": "conv_pos_groups",
    "num_buckets": "num_buckets",
    "max_distance": "max_distance",
}
_FIXED_SETTINGS = {
    "input_patch_size": PATCH,
    "conv_bias": False,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}


class BeatsNetwork(nn.Module):
    """The network from filter banks to features, without a classifier."""

    def __init__(self, size: BeatsSize) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(1, size.patch_width, PATCH, stride=PATCH, bias=False)
        self.layer_norm = nn.LayerNorm(size.patch_width)
        # A checkpoint whose widths are equal has no projection.
        is_projected = size.patch_width != size.width
        self.post_extract_proj = nn.Linear(size.patch_width, size.width) if is_projected else nn.Identity()
        self.encoder = Transformer(size)

    def forward(self, filter_banks: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        """[B, F, M] -> [B, F / 16 * M / 16, D], step by step, and band by band within a step; several layers joined by
        width."""
        values = filter_banks[:, None].to(self.layer_norm.weight.dtype)
        patches = self.patch_embedding(values).flatten(2).transpose(1, 2)
        return self.encoder(self.post_extract_proj(self.layer_norm(patches)), layers)


class Transformer(nn.Module):
    """Convolutional positions, a norm, and the blocks, which share the relative positions of the first."""

    def __init__(self, size: BeatsSize) -> None:
        super().__init__()
        self.max_distance = size.max_distance
        self.pos_conv = nn.Sequential(PositionConvolution(size.width, size.position_kernel, size.position_groups))
        self.layer_norm = nn.LayerNorm(size.width)
        self.layers = nn.ModuleList(Block(size) for _ in range(size.num_blocks))

    def forward(self, tokens: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        """[B, N, D] -> [B, N, D]; several layers joined by width."""
        tokens = self.prepare(tokens)
        positions = self.relative_positions(tokens.shape[1])
        return run_blocks([partial(block, positions=positions) for block in self.layers], tokens, layers)

    def prepare(self, tokens: Tensor) -> Tensor:
        """Return the input of the first block: the tokens with their positions, normalised."""
        return self.layer_norm(tokens + self.pos_conv(tokens))

    def relative_positions(self, num_tokens: int) -> Tensor:
        """Return what the distance of two tokens adds to their attention, before the gate: [H, N queries, N keys]."""
        first = self.layers[0]
        assert isinstance(first, Block)
        table = first.self_attn.relative_attention_bias
        places = torch.arange(num_tokens, device=table.weight.device)
        distances = places[None, :] - places[:, None]
        return table(distance_buckets(distances, table.num_embeddings, self.max_distance)).permute(2, 0, 1)


class PositionConvolution(nn.Module):
    """A grouped convolution over the tokens with normalised weights (per place of the kernel), then GELU."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight_g = nn.Parameter(torch.ones(1, 1, kernel))
        self.weight_v = nn.Parameter(torch.zeros(width, width // groups, kernel))

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        kernel = weight.shape[-1]
        mixed = functional.conv1d(tokens.transpose(1, 2), weight, self.bias, padding=kernel // 2, groups=self.groups)
        # An even kernel gives one token too many, at the end.
        return functional.gelu(mixed[..., : tokens.shape[1]]).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with relative positions, which each query weighs with a gate of its own."""

    def __init__(self, size: BeatsSize) -> None:
        super().__init__()
        self.num_heads = size.num_heads
        self.q_proj = nn.Linear(size.width, size.width)
        self.k_proj = nn.Linear(size.width, size.width)
        self.v_proj = nn.Linear(size.width, size.width)
        self.out_proj = nn.Linear(size.width, size.width)
        self.grep_linear = nn.Linear(size.width // size.num_heads, GATE_WIDTH)
        self.grep_a = nn.Parameter(torch.ones(1, size.num_heads, 1, 1))
        # Every block of a checkpoint lists it, but all blocks use that of the first.
        self.relative_attention_bias = nn.Embedding(size.num_buckets, size.num_heads)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """[B, N, D], [H, N, N] -> [B, N, D]."""
        query, key, value = (
            linear(tokens, layer.weight, layer.bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        gates = self.grep_linear(query).unflatten(-1, (2, GATE_WIDTH // 2)).sum(dim=-1).sigmoid()
        update, reset = gates.chunk(2, dim=-1)  # [B, H, N, 1] each
        bias = (update * (reset * self.grep_a - 1) + 2) * positions
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return linear(mixed.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)


class Block(nn.Module):
    """Attention and MLP, each with a norm after its residual, which is scaled up by DeepNet's factor."""

    def __init__(self, size: BeatsSize) -> None:
        super().__init__()
        self.residual_scale = (2 * size.num_blocks) ** 0.25
        self.self_attn = Attention(size)
        self.self_attn_layer_norm = nn.LayerNorm(size.width)
        self.fc1 = nn.Linear(size.width, size.mlp_width)
        self.fc2 = nn.Linear(size.mlp_width, size.width)
        self.final_layer_norm = nn.LayerNorm(size.width)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """[B, N, D], [H, N, N] -> [B, N, D]."""
        tokens = self.self_attn_layer_norm(self.residual_scale * tokens + self.self_attn(tokens, positions))
        hidden = linear_gelu(tokens, self.fc1.weight, self.fc1.bias)
        mixed = linear(hidden, self.fc2.weight, self.fc2.bias)
        return self.final_layer_norm(self.residual_scale * tokens + mixed)


def distance_buckets(distances: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """Return the bucket of each signed distance.

    Half of the buckets are for tokens that come after. In each half, one half is for single distances and the other
    for logarithmically growing ranges up to `max_distance`.
    """
    per_direction = num_buckets // 2
    num_single = per_direction // 2
    size = distances.abs()
    growth = torch.log(size.clamp(min=1).float() / num_single) / math.log(max_distance / num_single)
    ranged = num_single + (growth * (per_direction - num_single)).long()
    bucket = torch.where(size < num_single, size, ranged.clamp(max=per_direction - 1))
    return bucket + per_direction * (distances > 0)
