"""The contract of adapters that route features to experts: what they report, and how the load is balanced.

Shapes: B batch, E experts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adapters.base import Adapter, require_positive

_USAGE_DECAY = 0.9  # of the running mean of how much each expert is used, per optimiser step


@dataclass(frozen=True)
class Routing:
    """How the rows of a batch were routed; rows without a real feature are all zero in `use`."""

    probabilities: Tensor  # [B, E], the router's, mean over a row's features; with gradient
    use: Tensor  # [B, E], share of a row's features that each expert served; sums to 1, without gradient


class ExpertUsage(nn.Module):
    """How much each expert of a pool is used: a running mean over optimiser steps, saved with the adapter.

    The load-balancing loss of a row is E * sum over experts of f * P (Fedus et al. 2021, arXiv 2101.03961, equation 4)
    with the router's probability P of the row, and as f the running mean of past steps: so it is a sum over samples,
    the same however a batch is cut up. It is 1 where use is even. A subclass may balance in another way.
    """

    usage: Tensor

    def __init__(self, num_experts: int) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.register_buffer("usage", torch.full((num_experts,), 1 / num_experts))

    @property
    def num_experts(self) -> int:
        """E, the number of experts."""
        return len(self.usage)

    def balance_losses(self, probabilities: Tensor) -> Tensor:
        """Return the load-balancing loss of each row from the router's probabilities: [B, E] -> [B] float32."""
        # No matrix product: under autocast that would be in 16 bits.
        return self.num_experts * (probabilities.float() * self.usage.float()).sum(-1)

    @torch.no_grad()
    def update_usage(self, shares: Tensor) -> None:
        """Take the experts' shares [E] of the work of one optimiser step, which sum to 1, into the running mean."""
        self.usage.mul_(_USAGE_DECAY).add_(shares.to(self.usage), alpha=1 - _USAGE_DECAY)


class RoutedAdapter(Adapter):
    """An adapter that can report where it routed what it was given.

    A subclass names its `expert_usage`, and ends `forward` with `if self.keeps_routing: self.routing = Routing(...)`,
    one row for each row of the batch. The framework adds `balance_weight` times the load-balancing loss to the training
    loss, updates the usage after each optimiser step, and reports each expert's share of the work.
    """

    balance_weight: float = 0.0  # what the load-balancing loss is multiplied by; 0 = none

    def __init__(self, feature_dim: int, llm_dim: int) -> None:
        super().__init__(feature_dim, llm_dim)
        self.keeps_routing = False  # whether `forward` leaves its routing in `routing`
        self.routing: Routing | None = None

    @property
    def expert_usage(self) -> ExpertUsage:
        """The usage of its experts; adapters that give the same object share one pool of experts."""
        raise NotImplementedError(f"{type(self).__name__} does not implement expert_usage")

    def keep_routing(self, keep: bool) -> None:
        """Let `forward` keep its routing from now on, or not; what was kept before is dropped."""
        self.keeps_routing, self.routing = keep, None

    def take_routing(self) -> Routing | None:
        """Return the routing of the last forward pass and drop it, with the graph behind it; None = none was kept."""
        routing, self.routing = self.routing, None
        return routing
