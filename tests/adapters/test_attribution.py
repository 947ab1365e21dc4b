"""What adapters say their tokens stand on is what their tokens stand on."""

from typing import Any

import pytest
import torch
from torch import nn

from adapters import MLP, Adapter, Experts, GatedCrossAttention, Instruction, Linear, PooledMLP, QFormer, Resampler
from adapters.attention import MultiHeadAttention, recorded_attention

QFORMER = {"num_queries": 3, "hidden_dim": 16, "num_layers": 3, "num_heads": 2, "intermediate_dim": 16}
POOL = {"num_experts": 2, "width": 8}
INSTRUCTED = QFORMER | {"instruction_tokenizer": "none", "vocab_size": 20}
CASES: dict[str, tuple[type[Adapter], dict[str, Any]]] = {
    "linear": (Linear, {}),
    "mlp": (MLP, {}),
    "mlp of grids": (MLP, {"reduction": 2}),
    "mlp of a sequence": (MLP, {"reduction": 3, "layout": "sequence"}),
    "pooled": (PooledMLP, {"num_tokens": 2}),
    "resampler": (Resampler, {"num_queries": 3, "num_heads": 2, "width": 8}),
    "q-former": (QFormer, QFORMER),
    "q-former with instruction": (QFormer, INSTRUCTED),
    "gated": (GatedCrossAttention, {"num_llm_layers": 4, "num_queries": None, "width": 8, "num_heads": 2}),
    "gated with resampler": (GatedCrossAttention, {"num_llm_layers": 4, "num_queries": 2, "width": 8, "num_heads": 2}),
    "experts": (Experts, POOL),
    "experts of items": (Experts, POOL | {"route": "item", "top_k": 1}),
}


def build(name: str) -> Adapter:
    torch.manual_seed(0)
    kind, arguments = CASES[name]
    return kind(6, 10, **arguments).eval()


def inputs(name: str) -> tuple[torch.Tensor, torch.Tensor, Instruction | None]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 9, 6, generator=generator)
    mask = torch.tensor([[True] * 9, [True] * 7 + [False] * 2])
    told = Instruction(torch.tensor([[3, 4, 5], [6, 7, 0]]), torch.tensor([[True] * 3, [True, True, False]]))
    return features, mask, told if "instruction" in name else None


@pytest.mark.parametrize("name", CASES)
def test_rows_sum_to_one_over_real_features(name: str) -> None:
    adapter, (features, mask, told) = build(name), inputs(name)
    found = adapter.attribution(features, mask, told)
    _, token_mask = adapter(features, mask, told)
    assert found is not None
    assert found.shape == (*token_mask.shape, 9)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(-1)[token_mask], torch.ones(int(token_mask.sum())))
    assert not found.masked_select(~mask[:, None]).any()


@pytest.mark.parametrize("name", ["linear", "mlp", "mlp of grids", "mlp of a sequence", "pooled", "experts"])
def test_a_token_changes_with_the_features_that_it_stands_on_and_no_others(name: str) -> None:
    adapter, (features, mask, _) = build(name), inputs(name)
    found = adapter.attribution(features, mask)
    tokens, _ = adapter(features, mask)
    assert found is not None
    for feature in range(9):
        changed = features.clone()
        changed[:, feature, 0] += 1.0
        moved = (adapter(changed, mask)[0] - tokens).abs().amax(-1) > 1e-6
        assert torch.equal(moved, found[..., feature] > 0)


def test_weights_are_those_of_the_attention_that_runs() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(8, 6, num_heads=1, dropout=0.0)
    queries, keys = torch.randn(2, 3, 8), torch.randn(2, 5, 6)
    mask = torch.tensor([[True] * 5, [True, True, False, False, True]])
    with recorded_attention() as record:
        attended = attention(queries, keys, mask)
    torch.testing.assert_close(record[0] @ attention.value(keys), attended)
    attention(queries, keys, mask)
    assert len(record) == 1  # what runs afterwards is not written down


def test_a_resampler_stands_on_what_its_latents_attend_to() -> None:
    resampler = build("resampler")
    assert isinstance(resampler, Resampler)
    features, mask, _ = inputs("resampler")
    for layer in resampler.layers:  # all scores are 0, so every key has the same weight
        nn.init.zeros_(layer.attention.query.weight)
    found = resampler.attribution(features, mask)
    assert found is not None
    torch.testing.assert_close(found, (mask / mask.sum(1, keepdim=True))[:, None].expand(-1, 3, -1))


def test_an_adapter_that_says_nothing_gives_none() -> None:
    class Silent(Adapter):
        pass

    assert Silent(6, 10).attribution(torch.zeros(1, 2, 6)) is None
