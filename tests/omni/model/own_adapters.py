"""Adapters of a user's own file, which imports `adapters` only: one that LLM layers attend to, and one that routes."""

import torch
from torch import Tensor, nn

from adapters import Adapter, AttendedAdapter, ExpertUsage, Instruction, RoutedAdapter, Routing


class MeanAdded(AttendedAdapter):
    """Adds the gated mean of the media that a token sees to its hidden state, before the second layer only."""

    attend_to = "last"

    def __init__(self, feature_dim: int, llm_dim: int, *, layer: int = 1) -> None:
        super().__init__(feature_dim, llm_dim)
        self.attended_layers = [layer]
        self.states = nn.Linear(feature_dim, 5)  # narrower than the LLM: the width of states is the adapter's choice
        self.output = nn.Linear(5, llm_dim)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> tuple[Tensor, Tensor]:
        features, mask = self.prepare_features(features, mask)
        return self.finish_tokens(self.states(features), mask)

    def attend(self, layer: int, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor:
        assert layer in self.attended_layers
        count = visible.sum(-1, keepdim=True)  # [R, L, 1]
        mean = visible.to(media.dtype) @ media / count.clamp(min=1)
        return hidden + (self.gate * self.output(mean)).masked_fill(count == 0, 0.0).to(hidden.dtype)


class Pair(RoutedAdapter):
    """Two linear experts, mixed for each item by a router of its own; the experts and their usage can be shared."""

    balance_weight = 0.5
    shared_part = "experts"

    def __init__(self, feature_dim: int, llm_dim: int, *, width: int = 6) -> None:
        super().__init__(feature_dim, llm_dim)
        self.projection = nn.Linear(feature_dim, width)
        self.router = nn.Linear(width, 2)
        self.experts = PairOfExperts(width, llm_dim)

    @property
    def expert_usage(self) -> ExpertUsage:
        return self.experts

    def forward(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> tuple[Tensor, Tensor]:
        features, mask = self.prepare_features(features, mask)
        states = self.projection(features.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))  # [B, width]
        weights = self.router(states).softmax(-1)  # [B, 2]
        both = torch.stack([self.experts.first(states), self.experts.second(states)], dim=1)  # [B, 2, llm_dim]
        tokens = (weights[..., None] * both).sum(1)
        if self.keeps_routing:
            real = mask.any(1, keepdim=True)
            self.routing = Routing(weights * real, weights.detach() * real)
        return self.finish_tokens(tokens[:, None], mask.any(1, keepdim=True))

    def num_tokens(self, num_features: int) -> int:
        return 1


class PairOfExperts(ExpertUsage):
    """The part that modalities share."""

    def __init__(self, width: int, llm_dim: int) -> None:
        super().__init__(2)
        self.first = nn.Linear(width, llm_dim)
        self.second = nn.Linear(width, llm_dim)


class OutOfSequence(Adapter):
    """Says that it stands beside the sequence without saying what layers do with it."""

    in_sequence = False
