"""Heads: from the features of an encoder to embeddings in a joint space.

Shapes: B items, N features of an item, F width of the features, D width of the space.
"""

import torch
from torch import Tensor, nn

POOLINGS = ("mean", "first")


class Head(nn.Module):
    """Pools the features of an item and maps them to the space; subclasses implement `project`.

    feature_dim: width of the features. dim: width of the space; both are filled in by the space.
    pooling: mean = of all real features; first = the first one, of encoders with a class token (of
        an item of several clips, that of the first clip).
    """

    def __init__(self, feature_dim: int, dim: int, pooling: str = "mean") -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling is {pooling!r}; allowed: {', '.join(POOLINGS)}")
        self.feature_dim = feature_dim
        self.dim = dim
        self.pooling = pooling

    def project(self, features: Tensor) -> Tensor:
        """[..., F] -> [..., D]"""
        raise NotImplementedError(f"{type(self).__name__} does not implement project(features)")

    def plain_layers(self) -> list[nn.Module]:
        """Return the layers that are all the head does after its pooling, for exports.

        Raises:
            ValueError: it does something else.
        """
        raise ValueError(f"{type(self).__name__} is none of IdentityHead, LinearHead and MLPHead")

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """[B, N, F] and [B, N] (bool, True = real) -> embeddings [B, D], of any length."""
        if self.pooling == "first":
            position = mask.int().argmax(dim=1)
            return self.project(features[torch.arange(len(features), device=features.device), position])
        weights = mask.to(features.dtype)[..., None]
        return self.project((features * weights).sum(1) / weights.sum(1).clamp(min=1))

    def tokens(self, features: Tensor) -> Tensor:
        """[B, N, F] -> an embedding of every feature [B, N, D], for late interaction."""
        return self.project(features)


class IdentityHead(Head):
    """Nothing but the pooling: the encoder's own space is the joint one, as with a frozen anchor (LiT, Zhai et al.
    2022, arXiv 2111.07991)."""

    def __init__(self, feature_dim: int, dim: int, pooling: str = "mean") -> None:
        super().__init__(feature_dim, dim, pooling)
        if feature_dim != dim:
            raise ValueError(f"IdentityHead: the encoder gives width {feature_dim}, but joint_space.dim is {dim}")

    def project(self, features: Tensor) -> Tensor:
        return features

    def plain_layers(self) -> list[nn.Module]:
        return []


class LinearHead(Head):
    """Layer norm, dropout and one linear layer."""

    def __init__(self, feature_dim: int, dim: int, pooling: str = "mean", dropout: float = 0.0) -> None:
        super().__init__(feature_dim, dim, pooling)
        self.layers = nn.Sequential(nn.LayerNorm(feature_dim), nn.Dropout(dropout), nn.Linear(feature_dim, dim))

    def project(self, features: Tensor) -> Tensor:
        return self.layers(features)

    def plain_layers(self) -> list[nn.Module]:
        return [*self.layers]


class MLPHead(Head):
    """Layer norm, then a hidden layer with GELU and dropout before each linear layer."""

    def __init__(
        self, feature_dim: int, dim: int, hidden_dim: int = 512, pooling: str = "mean", dropout: float = 0.0
    ) -> None:
        super().__init__(feature_dim, dim, pooling)
        self.layers = nn.Sequential(
            nn.LayerNorm(feature_dim),
            nn.Dropout(dropout),
            nn.Linear(feature_dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, dim),
        )

    def project(self, features: Tensor) -> Tensor:
        return self.layers(features)

    def plain_layers(self) -> list[nn.Module]:
        return [*self.layers]
