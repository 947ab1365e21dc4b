"""The smallest adapter: one linear layer, one token per feature."""

from torch import Tensor, nn

from adapters.base import Adapter, Instruction
from adapters.output_norm import output_norm


class Linear(Adapter):
    """One token per feature: LayerNorm (optional) and Linear, as the projection variant of X-InstructBLIP.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        feature_norm: LayerNorm on the features, so that encoders of any scale start alike.
        embedding_rms: scale of the language model's embeddings, see `output_norm`; None = no output norm.
    """

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        feature_norm: bool = True,
        embedding_rms: float | None = None,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        self.feature_norm = nn.LayerNorm(feature_dim) if feature_norm else nn.Identity()
        self.projection = nn.Linear(feature_dim, llm_dim)
        self.output_norm = output_norm(llm_dim, embedding_rms)

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> [B, N, llm_dim], [B, N]; see `Adapter.forward`."""
        features, mask = self.prepare_features(features, mask)
        return self.finish_tokens(self.output_norm(self.projection(self.feature_norm(features))), mask)

    def num_tokens(self, num_features: int) -> int:
        """One token per feature."""
        return num_features

    @property
    def is_tokenwise(self) -> bool:
        """Always."""
        return True
