"""Experts: routed tokens are those of the chosen experts, and the load-balancing loss is what the paper says."""

from typing import Any

import pytest
import torch
from torch import Tensor

from adapters import Experts, Linear, Resampler

FEATURE_DIM, LLM_DIM = 12, 8
RESAMPLER: dict[str, Any] = {
    "route": "item",
    "expert": "adapters.Resampler",
    "expert_args": {"num_queries": 3, "num_layers": 1, "num_heads": 2, "width": 16},
}
KINDS: dict[str, dict[str, Any]] = {
    "soft": {},
    "top 1": {"top_k": 1},
    "top 2": {"top_k": 2},
    "soft resamplers": RESAMPLER,
    "top 2 resamplers": {**RESAMPLER, "top_k": 2},
}


def build(kind: str = "soft", seed: int = 0, **options: Any) -> Experts:
    torch.manual_seed(seed)
    experts = Experts(FEATURE_DIM, LLM_DIM, **{"num_experts": 3, "width": 10, **KINDS[kind], **options}).eval()
    with torch.no_grad():
        experts.shared.router.weight.mul_(20)  # decided, as after training: no two experts are near a tie
    return experts


def features(batch: int, count: int = 5, seed: int = 3) -> Tensor:
    return torch.randn(batch, count, FEATURE_DIM, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_the_weighted_tokens_of_the_chosen_experts(kind: str) -> None:
    experts = build(kind)
    values = features(4)
    states = experts.projection(values)
    by_item = "resamplers" in kind
    probabilities = experts.shared.router(states.mean(1, keepdim=True) if by_item else states).softmax(-1)
    weights = probabilities
    if (k := KINDS[kind].get("top_k")) is not None:
        least = probabilities.topk(k, dim=-1).values[..., -1:]
        weights = probabilities * (probabilities >= least)
        weights = weights / weights.sum(-1, keepdim=True) if k > 1 else weights
    every = torch.stack([expert(states)[0] for expert in experts.shared.experts], dim=-1)  # [B, Q, D, E]
    expected = (every * weights[:, :, None]).sum(-1)
    torch.testing.assert_close(experts(values)[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batched_and_padded_equal_single(kind: str) -> None:
    experts = build(kind)
    batch = features(3, 7)
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    batch[~mask] = torch.nan
    tokens, token_mask = experts(batch, mask)
    for i, length in enumerate((7, 4, 1)):
        alone = experts(batch[i : i + 1, :length])[0][0]
        torch.testing.assert_close(tokens[i][token_mask[i]], alone, atol=1e-5, rtol=0)
    empty, none_real = experts(features(2), torch.zeros(2, 5, dtype=torch.bool))
    assert not none_real.any()
    assert not empty.any()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_router_and_every_expert(kind: str) -> None:
    experts = build(kind).double()
    with torch.no_grad():
        experts.shared.router.weight.div_(20)
    tokens, _ = experts(features(64))
    (tokens * torch.randn(tokens.shape, dtype=torch.float64)).sum().backward()
    assert [name for name, p in experts.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("kind", KINDS)
def test_use_and_probabilities_are_means_over_real_features(kind: str) -> None:
    experts = build(kind)
    experts.keeps_routing = True
    mask = torch.arange(6) < torch.tensor([[6], [2], [0]])
    experts(features(3, 6), mask)
    routing = experts.routing
    assert routing is not None
    torch.testing.assert_close(routing.use.sum(1), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(routing.probabilities.sum(1).detach(), torch.tensor([1.0, 1.0, 0.0]))
    experts(features(3, 6)[1:2, :2])
    assert experts.routing is not None
    torch.testing.assert_close(experts.routing.use[0], routing.use[1], atol=1e-6, rtol=0)


def test_the_balance_loss_is_one_for_even_use_and_pushes_away_from_what_is_used() -> None:
    pool = build().shared
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], requires_grad=True)
    torch.testing.assert_close(pool.balance_losses(probabilities), torch.ones(2))
    pool.update_usage(torch.tensor([1.0, 0.0, 0.0]))
    used = [1 / 3 * 0.9 + 0.1, 0.3, 0.3]
    torch.testing.assert_close(pool.usage, torch.tensor(used))
    losses = pool.balance_losses(probabilities)
    torch.testing.assert_close(losses[0], torch.tensor(3 * (0.7 * used[0] + 0.3 * 0.3)))
    losses.sum().backward()
    assert probabilities.grad is not None
    assert probabilities.grad[0, 0] > probabilities.grad[0, 1] > 0


def test_adapters_without_a_part_of_their_own_share_all() -> None:
    first, second = Linear(4, LLM_DIM), Linear(4, LLM_DIM)
    assert second.shared_with(first) is first
    with pytest.raises(ValueError, match="features of width 5 and 4"):
        Linear(5, LLM_DIM).shared_with(first)
    with pytest.raises(ValueError, match="Linear and Experts have no part in common"):
        first.shared_with(build())


def test_sharing_keeps_the_projection_and_takes_router_and_experts() -> None:
    first, second = build(), Experts(7, LLM_DIM, num_experts=3, width=10)
    assert second.shared_with(first) is second
    assert second.shared is first.shared
    assert second(torch.zeros(1, 2, 7))[0].shape == (1, 2, LLM_DIM)
    with pytest.raises(ValueError, match="must be built with the same arguments"):
        Experts(7, LLM_DIM, num_experts=4, width=10).shared_with(first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_experts": 0}, "num_experts must be at least 1, got 0"),
        ({"top_k": 5}, r"top_k must be from 1 to num_experts \(4\), or None for all; got 5"),
        ({"route": "batch"}, "route must be one of token, item; got 'batch'"),
        ({"balance_weight": -1.0}, "balance_weight must be at least 0, got -1"),
        ({"expert": "Linear"}, "expert must be the class path of an adapter, such as adapters.MLP; got 'Linear'"),
        ({"expert": "torch.nn.Linear"}, "expert must be the class path of an adapter"),
        ({"expert": "adapters.Resampler"}, "adapters.Resampler with these expert_args use route: item"),
        ({"expert_args": {"reduction": 2}}, "use route: item"),
        ({"expert": "adapters.GatedCrossAttention"}, "adapters.GatedCrossAttention stands beside the sequence"),
    ],
)
def test_arguments_out_of_range_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Experts(FEATURE_DIM, LLM_DIM, **options)


def test_experts_of_a_whole_item_make_as_many_tokens_as_one() -> None:
    experts = build("soft resamplers")
    assert isinstance(experts.shared.first, Resampler)
    assert experts.num_tokens(9) == 3 == experts(features(1, 9))[0].shape[1]
