"""An MLP on every feature, after folding neighbouring features into one token."""

import itertools
import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from adapters.attribution import normalised, own_features
from adapters.base import Adapter, Instruction, require_positive
from adapters.folding import fold_grids, fold_sequence, square_side
from adapters.output_norm import output_norm

Layout = Literal["grid", "sequence"]


class MLP(Adapter):
    """LayerNorm (optional), token reduction (optional), then Linear layers with GELU between them.

    Two layers without reduction are the projector of LLaVA-1.5 (Liu et al. 2023, arXiv 2310.03744); the reduction is
    that of InternVL 1.5 (Chen et al. 2024, arXiv 2404.16821), which cuts the number of tokens by r^2 and loses nothing.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        num_layers: number of Linear layers; 1 is a plain projection.
        hidden_dim: width between the layers; None = `llm_dim`.
        reduction: r; 1 = one token per feature.
        layout: "grid" folds r x r neighbours of a square grid into one token, "sequence" r consecutive features.
        grid_size: side of the grids when N features are several of them (the frames of a video); None = N features are
            one square grid.
        dropout: probability, on the hidden activations.
        feature_norm: LayerNorm on the features, so that encoders of any scale start alike.
        embedding_rms: scale of the language model's embeddings, see `output_norm`; None = no output norm.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        reduction: int = 1,
        layout: Layout = "grid",
        grid_size: int | None = None,
        dropout: float = 0.0,
        feature_norm: bool = True,
        embedding_rms: float | None = None,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        hidden_dim = llm_dim if hidden_dim is None else hidden_dim
        for name, value in (("num_layers", num_layers), ("hidden_dim", hidden_dim), ("reduction", reduction)):
            require_positive(name, value)
        if layout not in get_args(Layout):
            raise ValueError(f"layout must be one of {', '.join(get_args(Layout))}; got {layout!r}")
        if grid_size is not None:
            require_positive("grid_size", grid_size)
        self.reduction = reduction
        self.layout = layout
        self.grid_size = grid_size

        folded_dim = feature_dim * (reduction**2 if layout == "grid" else reduction)
        widths = [folded_dim, *[hidden_dim] * (num_layers - 1), llm_dim]
        layers: list[nn.Module] = []
        for width, next_width in itertools.pairwise(widths):
            layers += [nn.Linear(width, next_width), nn.GELU(), nn.Dropout(dropout)]
        self.feature_norm = nn.LayerNorm(feature_dim) if feature_norm else nn.Identity()
        self.layers = nn.Sequential(*layers[:-2])  # nothing after the last Linear
        self.output_norm = output_norm(llm_dim, embedding_rms)

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> [B, Q, llm_dim], [B, Q]; see `Adapter.forward`.

        Raises:
            ValueError: also if the layout is one grid and N is not a square number.
        """
        features, mask = self.prepare_features(features, mask)
        features, mask = self._folded(self.feature_norm(features), mask)
        return self.finish_tokens(self.output_norm(self.layers(features)), mask)

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return the features that are folded into each token, in equal parts: [B, Q, N]; see `Adapter`."""
        _, mask = self.prepare_features(features, mask)
        folded, _ = self._folded(own_features(mask), mask)  # [B, Q, r N] or [B, Q, r^2 N]
        return normalised(folded.unflatten(-1, (-1, mask.shape[1])).sum(2), mask)

    def num_tokens(self, num_features: int) -> int:
        """N without reduction, ceil(N / r) of a sequence, ceil(side / r)^2 of every grid."""
        if self.reduction == 1:
            return num_features
        if self.layout == "sequence":
            return math.ceil(num_features / self.reduction)
        if num_features == 0:
            return 0
        side = self._side(num_features)
        return math.ceil(num_features / side**2) * math.ceil(side / self.reduction) ** 2

    def plain_layers(self) -> list[nn.Linear]:
        others = {
            "feature_norm: LayerNorm before the layers; set feature_norm: false": self.feature_norm,
            "output_norm: RMSNorm after the layers; set embedding_rms: null": self.output_norm,
        }
        found = [text for text, module in others.items() if not isinstance(module, nn.Identity)]
        if self.reduction > 1:
            found.append(f"reduction: {self.reduction} features become one token; set reduction: 1")
        if found:
            raise ValueError(f"MLP is more than its layers: {'; '.join(found)}")
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @property
    def is_tokenwise(self) -> bool:
        """Where nothing is folded."""
        return self.reduction == 1

    def _folded(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N, D], [B, N] -> the same folded: [B, Q, r D] of a sequence, [B, Q, r^2 D] of grids."""
        if self.reduction == 1:
            return features, mask
        if self.layout == "sequence":
            return fold_sequence(features, mask, self.reduction)
        return fold_grids(features, mask, self.reduction, self._side(features.shape[1]))

    def _side(self, num_features: int) -> int:
        return square_side(num_features) if self.grid_size is None else self.grid_size
