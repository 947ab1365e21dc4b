"""The contract of every adapter: features of an encoder in, tokens for a language model out.

Shapes: B batch, N features, Q media tokens, D feature width, L text length.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adapters.attribution import own_features


@dataclass(frozen=True)
class Instruction:
    """Instruction text for instruction-aware adapters, tokenised in the adapter's own vocabulary.

    Pads may stand on either side: they influence nothing.
    """

    token_ids: Tensor  # [B, L] int64
    mask: Tensor  # [B, L] bool, True = real


class Adapter(nn.Module):
    """Maps features [B, N, feature_dim] to media tokens [B, Q, llm_dim].

    A subclass takes `(feature_dim, llm_dim, *, ...)`, in that order, because the framework fills the first two from the
    encoder and the language model. It implements `forward` and `num_tokens`, and keeps two promises: a masked feature
    influences nothing, and an item's tokens do not depend on what else is in the batch. `prepare_features` and
    `finish_tokens` do the common part of both.
    """

    uses_instruction: bool = False
    in_sequence: bool = True  # whether its tokens stand in the language model's sequence; see AttendedAdapter
    shared_part: str | None = None  # name of the submodule that modalities may have in common; None = all or nothing
    instruction_tokenizer: str | None = None  # id or folder of the tokenizer of `Instruction`, where one is used
    unpublished_weights: tuple[str, ...] = ()  # how names of weights begin that no published checkpoint holds

    def __init__(self, feature_dim: int, llm_dim: int) -> None:
        super().__init__()
        for name, value in (("feature_dim", feature_dim), ("llm_dim", llm_dim)):
            require_positive(name, value)
        self.feature_dim = feature_dim
        self.llm_dim = llm_dim

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map [B, N, feature_dim], [B, N] bool (True = real) to [B, Q, llm_dim], [B, Q] bool (True = real).

        Without a mask all features are real. Tokens that are not real are zero. An adapter that does not use
        instructions ignores `instruction`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement forward(features, mask, instruction)")

    def num_tokens(self, num_features: int) -> int:
        """Return Q, the number of tokens that `forward` makes of N = `num_features` features."""
        raise NotImplementedError(f"{type(self).__name__} does not implement num_tokens(num_features)")

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return how much each token of `forward`, with the same arguments, stands on each feature: [B, Q, N].

        The row of a real token sums to 1 over the real features. An adapter with attention gives what its tokens attend
        to; one whose every token is made of one feature needs no method of its own. None, the default elsewhere = not
        known: explanations then have no map by attention, and say so.
        """
        if not self.is_tokenwise:
            return None
        return own_features(self.prepare_features(features, mask)[1])

    @classmethod
    def adapters_in(cls, arguments: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return the adapters that arguments of the constructor name: argument -> class path and its arguments.

        Whether their code may run is decided before anything is built, so a class that builds others says which.
        """
        return {}

    def plain_layers(self) -> list[nn.Linear]:
        """Return the Linear layers that are all the adapter does to a feature, with exact GELU between them.

        Raises:
            ValueError: it does something else; the message names what, and what to set.
        """
        raise ValueError(f"{type(self).__name__} is no MLP on each feature; use adapters.MLP")

    @property
    def is_tokenwise(self) -> bool:
        """Whether every token is made of one feature alone, and every feature gives one token."""
        return False

    def shared_with(self, other: "Adapter") -> "Adapter":
        """Return what to use in place of this adapter where it shares with `other`, built with the same arguments.

        An adapter whose class names a `shared_part`, which must not depend on the encoder, takes over `other`'s; any
        other adapter is given up for `other` itself.

        Raises:
            ValueError: the two do not fit; without a shared part, also where their encoders give features of two
                widths.
        """
        name = type(self).__name__
        if type(self) is not type(other):
            raise ValueError(f"{name} and {type(other).__name__} have no part in common")
        if self.shared_part is not None:
            theirs = other.get_submodule(self.shared_part)
            if _shapes(self.get_submodule(self.shared_part)) != _shapes(theirs):
                raise ValueError(f"two {name} that share their layers must be built with the same arguments")
            setattr(self, self.shared_part, theirs)
            return self
        if _shapes(self) != _shapes(other):
            raise ValueError(
                f"two {name} share all or nothing, and these are for features of width {self.feature_dim} and "
                f"{other.feature_dim}; Experts and GatedCrossAttention share what comes after a projection of each"
            )
        return other

    def prepare_features(self, features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Check [B, N, feature_dim] and [B, N], cast to the adapter's dtype, and zero the masked features.

        Zeroing by selection, not by multiplication, so that NaN in the padding does not spread.

        Raises:
            ValueError: for a wrong number of dimensions, feature width, mask shape or mask dtype.
        """
        if features.ndim != 3:
            raise ValueError(f"features must be [batch, num_features, feature_dim], got {list(features.shape)}")
        width = features.shape[-1]
        if width != self.feature_dim:
            raise ValueError(
                f"{type(self).__name__} was built for features of width {self.feature_dim}, got width {width}: "
                f"build it with feature_dim={width}, or use the encoder it was made for"
            )
        if mask is None:
            mask = features.new_ones(features.shape[:2], dtype=torch.bool)
        if mask.dtype != torch.bool or mask.shape != features.shape[:2]:
            raise ValueError(
                f"mask must be bool {list(features.shape[:2])} (True = real feature), "
                f"got {mask.dtype} {list(mask.shape)}"
            )
        dtype = next(self.parameters()).dtype
        return features.to(dtype).masked_fill(~mask[..., None], 0.0), mask

    def finish_tokens(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Zero the tokens [B, Q, llm_dim] that `mask` [B, Q] calls not real, and return both."""
        return tokens.masked_fill(~mask[..., None], 0.0), mask

    def rename_published(self, names: Collection[str], *, modality: str | None = None) -> dict[str, str] | None:
        """Return, of the names in a published checkpoint, those that this adapter needs, each with its name here.

        A class whose weights were published under other names than its own overrides it; then `init_adapters` of a
        recipe reads such checkpoints. An unknown name keeps its published one, so that a strict load reports it.

        Args:
            names: all names in the checkpoint.
            modality: which adapter, where the checkpoint holds those of several modalities.

        Returns:
            Published name -> own name; None, the default, where `names` are not of a published checkpoint that the
            class knows.

        Raises:
            ValueError: the checkpoint holds several adapters, and `modality` names none of them.
        """
        return None


def require_positive(name: str, value: int) -> None:
    """Raise ValueError unless the constructor argument `name` is at least 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def _shapes(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(value.shape)) for name, value in module.state_dict().items()]
