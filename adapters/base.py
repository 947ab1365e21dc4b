"""What every adapter is: features of an encoder in, tokens for a language model out."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Instruction:
    """Instruction text for instruction-aware adapters, tokenised in the adapter's own vocabulary."""

    token_ids: Tensor  # [B, L] int64
    mask: Tensor  # [B, L] bool, True = real


class Adapter(nn.Module):
    """Maps features [B, N, feature_dim] to tokens [B, Q, llm_dim]; subclasses implement forward and num_tokens."""

    uses_instruction: bool = False

    def __init__(self, feature_dim: int, llm_dim: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.llm_dim = llm_dim

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] bool (True = real) -> [B, Q, llm_dim], [B, Q] bool (True = real)."""
        raise NotImplementedError

    def num_tokens(self, num_features: int) -> int:
        """Q, the number of tokens that forward makes of N = `num_features` features."""
        raise NotImplementedError
