"""Perceiver resampler: learned latents read any number of features into a fixed number of tokens.

Shapes: B batch, N features, Q latents and media tokens, D width.
"""

import math

import torch
from torch import Tensor, nn

from adapters.attention import MultiHeadAttention, recorded_attention
from adapters.attribution import normalised
from adapters.base import Adapter, Instruction, require_positive
from adapters.output_norm import output_norm


class Resampler(Adapter):
    """The Perceiver resampler of Flamingo (Alayrac et al. 2022, arXiv 2204.14198, appendix A.1.1).

    In every layer the latents attend to the features and to themselves, then pass a feed-forward layer (both pre-norm,
    with residuals). Unlike Flamingo, features are first projected to a width of the adapter's own, so that a small
    adapter can sit on a wide encoder, and carry sinusoidal positions (Vaswani et al. 2017), so that their order is
    seen at any length without a learned table. Positions count real features only.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        num_queries: number of latents, and of tokens.
        num_layers: number of layers.
        num_heads: attention heads, a divisor of `width`.
        width: width of latents and projected features.
        positions: False for features without an order (the groups of a point cloud).
        dropout: probability, on attention weights and on what each layer adds.
        embedding_rms: scale of the language model's embeddings, see `output_norm`; None = no output norm.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        num_queries: int = 32,
        num_layers: int = 2,
        num_heads: int = 8,
        width: int = 512,
        positions: bool = True,
        dropout: float = 0.0,
        embedding_rms: float | None = None,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        for name, value in (("num_queries", num_queries), ("num_layers", num_layers), ("width", width)):
            require_positive(name, value)
        self.num_queries = num_queries
        self.positions = positions
        self.feature_norm = nn.LayerNorm(feature_dim)
        self.feature_projection = nn.Linear(feature_dim, width)
        # Unit variance: in a pre-norm residual stream nothing would scale small latents up, and latents that are small
        # beside what attention adds all become the same token at the start.
        self.latents = nn.Parameter(torch.randn(num_queries, width))
        self.layers = nn.ModuleList(ResamplerLayer(width, num_heads, dropout) for _ in range(num_layers))
        self.final_norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, llm_dim)
        self.output_norm = output_norm(llm_dim, embedding_rms)

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> [B, Q, llm_dim], [B, Q]; see `Adapter.forward`.

        All tokens of an item are real, unless it has no real feature: then none is.
        """
        features, mask = self.prepare_features(features, mask)
        states = self.feature_projection(self.feature_norm(features))  # [B, N, D]
        if self.positions:
            states = states + sinusoidal_positions(mask.cumsum(1) - 1, states.shape[-1]).to(states.dtype)
        latents = self.latents.expand(len(features), -1, -1)  # [B, Q, D]
        key_mask = torch.cat([mask, mask.new_ones(latents.shape[:2])], dim=1)  # [B, N + Q]
        for layer in self.layers:
            latents = layer(latents, states, key_mask)
        tokens = self.output_norm(self.projection(self.final_norm(latents)))
        return self.finish_tokens(tokens, mask.any(dim=1, keepdim=True).expand(-1, self.num_queries))

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return the rollout of the attention of all layers, [B, Q, N]; see `Adapter` and `adapters.attribution`."""
        with recorded_attention() as record:
            self(features, mask)
        _, mask = self.prepare_features(features, mask)
        batch, num_features = mask.shape
        # a latent begins without any feature
        attributed = torch.zeros(batch, self.num_queries, num_features, device=mask.device)
        for weights in record:  # latents attend to features and latents
            to_features, to_latents = weights.split([num_features, self.num_queries], dim=-1)
            attributed = (attributed + to_features + to_latents @ attributed) / 2
        return normalised(attributed, mask)

    def num_tokens(self, num_features: int) -> int:
        """The number of queries, whatever the number of features."""
        return self.num_queries


class ResamplerLayer(nn.Module):
    """Latents attend to features and latents, then a feed-forward layer of four times the width."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.feature_norm = nn.LayerNorm(width)
        self.latent_norm = nn.LayerNorm(width)
        # No key bias: softmax does not see it, so it would never be trained.
        self.attention = MultiHeadAttention(width, width, num_heads, dropout, bias=False)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, latents: Tensor, features: Tensor, key_mask: Tensor) -> Tensor:
        """[B, Q, D], [B, N, D], [B, N + Q] bool -> [B, Q, D]."""
        queries = self.latent_norm(latents)
        keys = torch.cat([self.feature_norm(features), queries], dim=1)  # [B, N + Q, D]
        latents = latents + self.dropout(self.output(self.attention(queries, keys, key_mask)))
        return latents + self.dropout(self.feed_forward(latents))


def sinusoidal_positions(positions: Tensor, width: int) -> Tensor:
    """[B, N] integer positions -> [B, N, width] float32: sines, then cosines (Vaswani et al. 2017, section 3.5)."""
    half = math.ceil(width / 2)
    frequencies = torch.exp(torch.arange(half, device=positions.device) * (-math.log(10_000.0) / half))  # [D / 2]
    angles = positions[..., None] * frequencies  # [B, N, D / 2]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :width]
