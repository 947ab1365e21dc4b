"""Experts: several adapters behind one router, which modalities may share.

Shapes: B batch, N features, Q media tokens, E experts, W width that experts take, D width of the language model.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from adapters.attribution import normalised
from adapters.base import Adapter, Instruction, require_positive
from adapters.output_norm import output_norm
from adapters.routed import ExpertUsage, RoutedAdapter, Routing

Route = Literal["token", "item"]


class Experts(RoutedAdapter):
    """A router mixes the tokens of several adapters of one kind.

    All experts at once, weighted by the router's softmax (soft, as OneLLM, Han et al. 2023, arXiv 2312.03700), or only
    the `top_k` that the router chooses (Shazeer et al. 2017, arXiv 1701.06538). With k > 1 the chosen experts' weights
    are made to sum to 1; with k = 1 the weight is the router's probability, or the router would have no gradient
    (Fedus et al. 2021, arXiv 2101.03961). No expert has a capacity that could overflow, so an item's tokens do not
    depend on what else is in the batch.

    Features first pass a projection to `width`. Modalities that share an adapter (`share_adapter` of a recipe) have
    projection and output norm of their own, and router and experts in common.

    The load-balancing loss is that of `ExpertUsage`; `balance_weight` times it is added to the training loss.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        num_experts: E.
        top_k: experts that serve a feature or item; None = all of them (soft).
        route: "token" = each feature by itself, for experts that make one token of each feature; "item" = all features
            of an item together, for experts of any kind.
        expert: class path of an adapter class.
        expert_args: its arguments, without the widths.
        width: of the features that router and experts take.
        balance_weight: of the load-balancing loss; 0 = none.
        embedding_rms: scale of the language model's embeddings, see `output_norm`; None = no output norm.

    Raises:
        ValueError: if an argument is out of range, or experts do not fit the route or stand beside the sequence.
    """

    shared_part = "shared"

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        num_experts: int = 4,
        top_k: int | None = None,
        route: Route = "token",
        expert: str = "adapters.MLP",
        expert_args: Mapping[str, Any] | None = None,
        width: int = 512,
        balance_weight: float = 0.01,
        embedding_rms: float | None = None,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        for name, value in (("num_experts", num_experts), ("width", width)):
            require_positive(name, value)
        if top_k is not None and not 1 <= top_k <= num_experts:
            raise ValueError(f"top_k must be from 1 to num_experts ({num_experts}), or None for all; got {top_k}")
        if route not in get_args(Route):
            raise ValueError(f"route must be one of {', '.join(get_args(Route))}; got {route!r}")
        if not 0 <= balance_weight < float("inf"):
            raise ValueError(f"balance_weight must be at least 0, got {balance_weight}")
        self.route: Route = route
        self.top_k = top_k
        self.balance_weight = balance_weight
        self.projection = nn.Sequential(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, width))
        self.shared = ExpertPool([_build_expert(expert, width, llm_dim, expert_args or {}) for _ in range(num_experts)])
        self.output_norm = output_norm(llm_dim, embedding_rms)
        first = self.shared.first
        if route == "token" and not first.is_tokenwise:
            raise ValueError(
                f"route 'token' needs experts that make one token of each feature by itself, as adapters.Linear and "
                f"adapters.MLP without reduction; for {expert} with these expert_args use route: item"
            )
        self.uses_instruction = first.uses_instruction
        self.instruction_tokenizer = first.instruction_tokenizer

    @classmethod
    def adapters_in(cls, arguments: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return the class of the experts."""
        return {"expert": (arguments.get("expert", "adapters.MLP"), arguments.get("expert_args") or {})}

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> [B, Q, llm_dim], [B, Q]; see `Adapter.forward`."""
        features, mask = self.prepare_features(features, mask)
        states = self.projection(features).masked_fill(~mask[..., None], 0.0)  # [B, N, W]
        if self.route == "token":
            probabilities = self.shared.router(states).softmax(-1)  # [B, N, E]
            weights = self._chosen(probabilities)
            tokens, token_mask = self._of_features(states, mask, weights), mask
        else:
            probabilities = self._item_probabilities(states, mask)  # [B, 1, E]
            weights = self._chosen(probabilities)
            tokens, token_mask = self._of_items(states, mask, weights[:, 0], instruction)
        if self.keeps_routing:
            self.routing = self._routing(probabilities, weights, mask)
        return self.finish_tokens(self.output_norm(tokens), token_mask)

    @property
    def expert_usage(self) -> ExpertUsage:
        """The usage of its experts, which modalities that share them have in common."""
        return self.shared

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return the experts' own, weighted as the router mixes them: [B, Q, N]; see `Adapter`."""
        features, mask = self.prepare_features(features, mask)
        states = self.projection(features).masked_fill(~mask[..., None], 0.0)
        experts = [expert.attribution(states, mask, instruction) for expert in self.shared.adapters]
        found = [one for one in experts if one is not None]
        if len(found) < len(experts):
            return None
        if self.route == "token":
            return found[0]
        weights = self._chosen(self._item_probabilities(states, mask))[:, 0]  # [B, E]
        return normalised(torch.einsum("be,ebqn->bqn", weights.float(), torch.stack(found)), mask)

    def num_tokens(self, num_features: int) -> int:
        """Return as many as each of the experts makes."""
        return self.shared.first.num_tokens(num_features)

    def _item_probabilities(self, states: Tensor, mask: Tensor) -> Tensor:
        """The router's probabilities of whole items: [B, N, W], [B, N] -> [B, 1, E]."""
        count = mask.sum(1, keepdim=True).clamp(min=1)
        return self.shared.router(states.sum(1) / count).softmax(-1)[:, None]

    def _chosen(self, probabilities: Tensor) -> Tensor:
        """Weights [..., E] of the experts: zero for those that are not chosen."""
        if self.top_k is None:
            return probabilities
        values, chosen = probabilities.topk(self.top_k, dim=-1)
        if self.top_k > 1:
            values = values / values.sum(-1, keepdim=True)
        return torch.zeros_like(probabilities).scatter(-1, chosen, values)

    def _of_features(self, states: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
        """[B, N, W], [B, N], [B, N, E] -> [B, N, D]; an expert that is not chosen is not computed."""
        flat, rows = states.flatten(0, 1), weights.flatten(0, 1)
        real = mask.flatten()
        total = flat.new_zeros(len(flat), self.llm_dim)
        for index, expert in enumerate(self.shared.experts):
            served = (real if self.top_k is None else real & (rows[:, index] > 0)).nonzero().flatten()
            if len(served):
                tokens = expert(flat[served][None])[0][0]
                total = total.index_add(0, served, (rows[served, index, None] * tokens).to(total.dtype))
        return total.unflatten(0, mask.shape)

    def _of_items(
        self, states: Tensor, mask: Tensor, weights: Tensor, instruction: Instruction | None
    ) -> tuple[Tensor, Tensor]:
        """[B, N, W], [B, N], [B, E] -> [B, Q, D], [B, Q]; an expert that is not chosen is not computed."""
        num_tokens = self.num_tokens(states.shape[1])
        total = states.new_zeros(len(states), num_tokens, self.llm_dim)
        token_mask = mask.new_zeros(len(states), num_tokens)
        for index, expert in enumerate(self.shared.experts):
            chosen = torch.ones_like(weights[:, 0]) if self.top_k is None else weights[:, index]
            served = (chosen > 0).nonzero().flatten()
            if len(served):
                own = None
                if instruction is not None:
                    own = Instruction(instruction.token_ids[served], instruction.mask[served])
                tokens, found = expert(states[served], mask[served], own)
                tokens = weights[served, index, None, None] * tokens
                total = total.index_add(0, served, tokens.to(total.dtype))
                token_mask = token_mask.index_put((served,), found)
        return total, token_mask

    def _routing(self, probabilities: Tensor, weights: Tensor, mask: Tensor) -> Routing:
        """[B, N or 1, E] twice, [B, N] -> means over each row's real features."""
        served = weights.detach() if self.top_k is None else (weights.detach() > 0).to(weights.dtype) / self.top_k
        real = mask if self.route == "token" else mask.any(1, keepdim=True)
        share = real.to(weights.dtype) / real.sum(1, keepdim=True).clamp(min=1)  # [B, N or 1]
        return Routing((probabilities * share[..., None]).sum(1), (served * share[..., None]).sum(1))


class ExpertPool(ExpertUsage):
    """Router and experts, and the running mean of how much each expert is used."""

    def __init__(self, experts: list[Adapter]) -> None:
        super().__init__(len(experts))
        self.router = nn.Linear(experts[0].feature_dim, len(experts))
        self.experts = nn.ModuleList(experts)

    @property
    def adapters(self) -> list[Adapter]:
        """The experts in their order."""
        return [expert for expert in self.experts if isinstance(expert, Adapter)]

    @property
    def first(self) -> Adapter:
        """One of the experts, who are all alike but for their weights."""
        return self.adapters[0]


def _build_expert(class_path: str, width: int, llm_dim: int, arguments: Mapping[str, Any]) -> Adapter:
    module, _, name = class_path.rpartition(".")
    found = getattr(importlib.import_module(module), name, None) if module else None
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise ValueError(f"expert must be the class path of an adapter, such as adapters.MLP; got {class_path!r}")
    if not found.in_sequence:
        raise ValueError(
            f"expert: {class_path} stands beside the sequence, where layers of the language model attend to it, but "
            "Experts mixes tokens that stand in the sequence; use an adapter that makes such tokens, as adapters.MLP"
        )
    return found(width, llm_dim, **arguments)
