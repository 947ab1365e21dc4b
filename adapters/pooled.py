"""One vector for the whole item, spread over a few tokens."""

import torch
from torch import Tensor, nn

from adapters.attribution import all_features
from adapters.base import Adapter, Instruction, require_positive
from adapters.output_norm import output_norm


class PooledMLP(Adapter):
    """Mean of the real features, LayerNorm, one hidden layer, and `num_tokens` tokens of it all.

    The mapping network of ClipCap (Mokady et al. 2021, arXiv 2111.09734). It sees no position and no detail, so it has
    little to overfit on: the adapter for some hundred training pairs.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        num_tokens: media tokens of an item.
        hidden_dim: width of the hidden layer.
        dropout: probability, on the pooled features and on the hidden activations.
        embedding_rms: scale of the language model's embeddings, see `output_norm`; None = no output norm.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        num_tokens: int = 4,
        hidden_dim: int = 512,
        dropout: float = 0.0,
        embedding_rms: float | None = None,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        for name, value in (("num_tokens", num_tokens), ("hidden_dim", hidden_dim)):
            require_positive(name, value)
        self.num_pooled_tokens = num_tokens
        self.layers = nn.Sequential(
            nn.LayerNorm(feature_dim),
            nn.Dropout(dropout),
            nn.Linear(feature_dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, num_tokens * llm_dim),
        )
        self.output_norm = output_norm(llm_dim, embedding_rms)

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> [B, num_tokens, llm_dim], [B, num_tokens]; see `Adapter.forward`."""
        features, mask = self.prepare_features(features, mask)
        count = mask.sum(1, keepdim=True)
        pooled = features.sum(1) / count.clamp(min=1)  # [B, D]; masked features are zero
        tokens = self.layers(pooled).view(len(pooled), self.num_pooled_tokens, self.llm_dim)
        token_mask = (count > 0).expand(-1, self.num_pooled_tokens)
        return self.finish_tokens(self.output_norm(tokens), torch.clone(token_mask))

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return equal parts of all real features, [B, num_tokens, N]: a mean prefers none; see `Adapter`."""
        return all_features(self.prepare_features(features, mask)[1], self.num_pooled_tokens)

    def num_tokens(self, num_features: int) -> int:
        """`num_tokens` of the constructor, whatever `num_features` is."""
        return self.num_pooled_tokens
