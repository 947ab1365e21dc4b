"""Gated cross-attention: the layers of the language model look at the media, which take no place in the sequence.

Shapes: B batch, N features, Q media states, K media states of a row, R rows, L text length, D width of the language
model, W width of the media states.
"""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from adapters.attended import AttendedAdapter, AttendTo
from adapters.attention import MultiHeadAttention
from adapters.attribution import own_features
from adapters.base import Instruction, require_positive
from adapters.resampler import Resampler


class GatedCrossAttention(AttendedAdapter):
    """The adapter of Flamingo (Alayrac et al. 2022, arXiv 2204.14198, section 2.2 and appendix A.1.2).

    `forward` makes the media states that the layers look at: through a resampler, or one for each feature. A trained
    block before each chosen layer of the language model lets text tokens attend to them, then passes a feed-forward
    layer; both are added through a tanh gate that is zero at the start, so that the language model is unchanged before
    training. A token that sees no media of this adapter stays as it is, bit by bit, also after training.

    A text token sees the media before it: all of them, or with `attend_to: last` (as Flamingo) only the last item of
    its modality before it.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        num_llm_layers: number of the language model's layers, which the framework fills in.
        layers: the layers that get a block before them, from 0; None = every `every`-th.
        every: a block before each layer whose number, from 1, is a multiple of it; unused where `layers` are given.
        num_queries: media states of an item, through a resampler; None = one state for each feature.
        resampler_layers: layers of the resampler.
        width: width W of the media states, and of the attention in the blocks.
        num_heads: attention heads, a divisor of `width`.
        feed_forward_ratio: width of the blocks' feed-forward layer, as a multiple of `llm_dim`.
        attend_to: "all" or "last".
        dropout: probability, on attention weights and on what is added.

    Raises:
        ValueError: if an argument is out of range.
    """

    shared_part = "shared"

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        num_llm_layers: int,
        layers: Sequence[int] | None = None,
        every: int = 4,
        num_queries: int | None = 64,
        resampler_layers: int = 2,
        width: int = 512,
        num_heads: int = 8,
        feed_forward_ratio: float = 4.0,
        attend_to: AttendTo = "all",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        require_positive("num_llm_layers", num_llm_layers)
        require_positive("width", width)
        if attend_to not in get_args(AttendTo):
            raise ValueError(f"attend_to must be one of {', '.join(get_args(AttendTo))}; got {attend_to!r}")
        if not feed_forward_ratio > 0:
            raise ValueError(f"feed_forward_ratio must be above 0, got {feed_forward_ratio}")
        self.attend_to = attend_to
        self.num_queries = num_queries
        self.media = (
            nn.Sequential(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, width))
            if num_queries is None
            else Resampler(
                feature_dim,
                width,
                num_queries=num_queries,
                num_layers=resampler_layers,
                num_heads=num_heads,
                width=width,
                dropout=dropout,
            )
        )
        self.attended_layers = _chosen_layers(num_llm_layers, layers, every)
        hidden_dim = max(1, round(feed_forward_ratio * llm_dim))
        self.shared = InsertedBlocks(
            {index: GatedBlock(llm_dim, width, num_heads, hidden_dim, dropout) for index in self.attended_layers}
        )

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> media states [B, Q, W], [B, Q]; see `Adapter.forward`."""
        features, mask = self.prepare_features(features, mask)
        if self.num_queries is not None:
            return self.media(features, mask)
        return self.finish_tokens(self.media(features), mask)

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return that of the resampler, or one feature for each state: [B, Q, N]; see `Adapter`."""
        if isinstance(self.media, Resampler):
            return self.media.attribution(features, mask)
        return own_features(self.prepare_features(features, mask)[1])

    @torch.no_grad()
    def attended_weights(self, layer: int, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor:
        """Return the attention of the block before `layer`, the mean over heads: [R, L, K]; see `AttendedAdapter`."""
        block = self.shared.blocks[str(layer)]
        assert isinstance(block, GatedBlock)
        return block.weights(hidden, media, visible)

    def attend(self, layer: int, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor:
        """Run the block before `layer`: [R, L, D], [R, K, W], [R, L, K] bool -> [R, L, D]; see `AttendedAdapter`."""
        return self.shared.blocks[str(layer)](hidden, media, visible)


class InsertedBlocks(nn.Module):
    """The blocks by the number of the layer they stand before; modalities may share them."""

    def __init__(self, blocks: dict[int, "GatedBlock"]) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict({str(index): block for index, block in sorted(blocks.items())})


class GatedBlock(nn.Module):
    """Text attends to media, then a feed-forward layer; each is added times the tanh of a gate that begins at zero."""

    def __init__(self, llm_dim: int, width: int, num_heads: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.text_norm = nn.LayerNorm(llm_dim)
        self.query = nn.Linear(llm_dim, width, bias=False)
        # No bias: softmax does not see that of the keys.
        self.attention = MultiHeadAttention(width, width, num_heads, dropout, bias=False)
        self.output = nn.Linear(width, llm_dim, bias=False)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(llm_dim),
            nn.Linear(llm_dim, hidden_dim, bias=False),
            nn.GELU(),
            nn.Linear(hidden_dim, llm_dim, bias=False),
        )
        self.feed_forward_gate = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor:
        """[R, L, D], [R, K, W], [R, L, K] bool -> [R, L, D]; tokens that see nothing stay as they are."""
        sees = visible.any(-1, keepdim=True)
        states = hidden.to(self.output.weight.dtype)
        attended = self.output(self.attention(*self._attention_inputs(states, media, visible)))
        change = self.attention_gate.tanh() * self.dropout(attended)
        change = change + self.feed_forward_gate.tanh() * self.dropout(self.feed_forward(states + change))
        # Selected, not multiplied: what pads hold must not spread.
        return hidden + change.masked_fill(~sees, 0.0).to(hidden.dtype)

    def weights(self, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor:
        """Return the attention weights of `forward` as the mean over heads: [R, L, K], zero where nothing is seen."""
        states = hidden.to(self.output.weight.dtype)
        weights = self.attention.weights(*self._attention_inputs(states, media, visible))
        return weights.masked_fill(~visible, 0.0)

    def _attention_inputs(self, states: Tensor, media: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the attention takes; a token that sees nothing looks at all, and what it finds is not used."""
        queries = self.query(self.text_norm(states))
        return queries, media.to(states.dtype), visible | ~visible.any(-1, keepdim=True)


def _chosen_layers(num_llm_layers: int, layers: Sequence[int] | None, every: int) -> list[int]:
    if layers is None:
        require_positive("every", every)
        if every > num_llm_layers:
            raise ValueError(f"every must be at most {num_llm_layers}, the number of the LLM's layers; got {every}")
        return [index for index in range(num_llm_layers) if (index + 1) % every == 0]
    wrong = [index for index in layers if not 0 <= index < num_llm_layers]
    if wrong or not layers or len(set(layers)) < len(layers):
        raise ValueError(f"layers must be different numbers from 0 to {num_llm_layers - 1}, got {list(layers)}")
    return sorted(layers)
