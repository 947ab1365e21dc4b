"""What holds for every adapter: a masked feature influences nothing, batched equals single, everything is trained."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from adapters import MLP, Adapter, Experts, Instruction, Linear, QFormer, Resampler

FEATURE_DIM, LLM_DIM, NUM_FEATURES = 12, 20, 16
TOLERANCE = 1e-5  # of the largest absolute value

BUILDERS: dict[str, Callable[..., Adapter]] = {
    "linear": lambda **kwargs: Linear(FEATURE_DIM, LLM_DIM, **kwargs),
    "mlp": lambda **kwargs: MLP(FEATURE_DIM, LLM_DIM, num_layers=3, hidden_dim=24, **kwargs),
    "mlp_sequence": lambda **kwargs: MLP(FEATURE_DIM, LLM_DIM, reduction=3, layout="sequence", **kwargs),
    "mlp_grids": lambda **kwargs: MLP(FEATURE_DIM, LLM_DIM, reduction=2, grid_size=3, **kwargs),
    "experts": lambda **kwargs: Experts(FEATURE_DIM, LLM_DIM, width=16, **kwargs),
    "experts_of_items": lambda **kwargs: Experts(
        FEATURE_DIM,
        LLM_DIM,
        width=16,
        route="item",
        expert="adapters.MLP",
        expert_args={"reduction": 3, "layout": "sequence"},
        **kwargs,
    ),
    "resampler": lambda **kwargs: Resampler(FEATURE_DIM, LLM_DIM, num_queries=5, num_heads=2, width=16, **kwargs),
    "qformer": lambda **kwargs: _qformer(None, **kwargs),
    "qformer_with_instruction": lambda **kwargs: _qformer("bert", **kwargs),
}
PADS_LEFT = sorted(BUILDERS.keys() - {"mlp_grids"})  # a grid's features have places: only whole grids may be missing
QUERY_BASED = ("resampler", "qformer", "qformer_with_instruction")


def _qformer(instruction_tokenizer: str | None, **kwargs: float | None) -> QFormer:
    return QFormer(
        FEATURE_DIM,
        LLM_DIM,
        num_queries=5,
        hidden_dim=16,
        num_layers=3,
        num_heads=2,
        intermediate_dim=32,
        instruction_tokenizer=instruction_tokenizer,
        vocab_size=50,
        max_positions=12,
        **kwargs,  # pyright: ignore[reportArgumentType]
    )


@pytest.fixture(params=sorted(BUILDERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return build(request.param)


def build(name: str, embedding_rms: float | None = None) -> Adapter:
    """The adapter with every parameter perturbed, so that no zero or one hides a mistake."""
    torch.manual_seed(0)
    adapter = BUILDERS[name](embedding_rms=embedding_rms).eval()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return adapter


def random_features(batch: int, num_features: int = NUM_FEATURES, seed: int = 1) -> Tensor:
    return torch.randn(batch, num_features, FEATURE_DIM, generator=torch.Generator().manual_seed(seed))


def random_instruction(lengths: list[int]) -> Instruction:
    ids = torch.randint(1, 50, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(2))
    return Instruction(ids, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    actual, expected = actual.detach(), expected.detach()
    scale = float(expected.abs().max())
    assert scale > 0.01
    assert float((actual - expected).abs().max()) <= TOLERANCE * scale


def real_tokens(adapter: Adapter, features: Tensor, mask: Tensor | None, instruction: Instruction | None) -> Tensor:
    """The real tokens of a batch of one: [Q, llm_dim]."""
    tokens, token_mask = adapter(features, mask, instruction)
    return tokens[0, token_mask[0]]


def test_batched_equals_single(adapter: Adapter) -> None:
    lengths, text_lengths = [16, 9, 1, 14], [7, 3, 5, 0]
    features, instruction = random_features(4), random_instruction(text_lengths)
    mask = torch.arange(NUM_FEATURES) < torch.tensor(lengths)[:, None]
    tokens, token_mask = adapter(features, mask, instruction)
    for index, (length, text_length) in enumerate(zip(lengths, text_lengths, strict=True)):
        item = slice(index, index + 1)
        own_text = Instruction(instruction.token_ids[item, :text_length], instruction.mask[item, :text_length])
        single = real_tokens(adapter, features[item, :length], None, own_text if text_length else None)
        assert_equal(tokens[index, token_mask[index]], single)


def test_more_padding_on_the_right_changes_nothing(adapter: Adapter) -> None:
    features, instruction = random_features(2), random_instruction([7, 3])
    mask = torch.ones(2, NUM_FEATURES, dtype=torch.bool)
    padded = torch.cat([features, torch.full((2, 11, FEATURE_DIM), torch.nan)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(2, 11, dtype=torch.bool)], dim=1)
    expected, expected_mask = adapter(features, mask, instruction)
    tokens, token_mask = adapter(padded, padded_mask, instruction)
    num_tokens = expected.shape[1]
    assert_equal(tokens[:, :num_tokens], expected)
    assert torch.equal(token_mask[:, :num_tokens], expected_mask)
    assert not token_mask[:, num_tokens:].any()


@pytest.mark.parametrize("name", PADS_LEFT)
def test_padding_on_the_left_equals_none(name: str) -> None:
    adapter, features, instruction = build(name), random_features(1), random_instruction([4])
    padded = torch.cat([1e4 * torch.ones(1, 7, FEATURE_DIM), features], dim=1)
    mask = (torch.arange(7 + NUM_FEATURES) >= 7)[None]
    padded_text = Instruction(
        torch.cat([torch.full((1, 3), 9), instruction.token_ids], dim=1),
        torch.cat([torch.zeros(1, 3, dtype=torch.bool), instruction.mask], dim=1),
    )
    expected = real_tokens(adapter, features, None, instruction)
    assert_equal(real_tokens(adapter, padded, mask, padded_text), expected)


def test_masked_values_influence_nothing_and_get_no_gradient(adapter: Adapter) -> None:
    mask = torch.rand(3, NUM_FEATURES, generator=torch.Generator().manual_seed(3)) < 0.6
    features = random_features(3)
    other = torch.where(mask[..., None], features, 100 * random_features(3, seed=4)).requires_grad_()
    expected, _ = adapter(features, mask)
    tokens, _ = adapter(other, mask)
    assert_equal(tokens, expected)
    tokens.square().sum().backward()
    assert other.grad is not None
    assert not other.grad[~mask].any()
    assert other.grad[mask].abs().sum(-1).min() > 0


def test_an_item_without_a_real_feature_has_no_real_token(adapter: Adapter) -> None:
    features = random_features(2)
    features[0] = torch.nan
    features.requires_grad_()
    mask = torch.tensor([False, True])[:, None].expand(2, NUM_FEATURES)
    tokens, token_mask = adapter(features, mask, random_instruction([3, 5]))
    assert not token_mask[0].any()
    assert not tokens[0].any()
    assert tokens.isfinite().all()
    tokens.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in adapter.parameters())


def test_real_features_give_a_real_token(adapter: Adapter) -> None:
    mask = torch.zeros(1, NUM_FEATURES, dtype=torch.bool)
    mask[0, 6] = True
    tokens, token_mask = adapter(random_features(1), mask)
    assert int(token_mask.sum()) == (adapter.num_tokens(1) if token_mask.all() else 1)
    assert tokens[token_mask].abs().sum(-1).min() > 0


@pytest.mark.parametrize("num_features", [0, 1, 7, 9, 16, 18])
def test_num_tokens_equals_the_tokens_made(adapter: Adapter, num_features: int) -> None:
    tokens, token_mask = adapter(random_features(2, num_features))
    assert tokens.shape == (2, adapter.num_tokens(num_features), LLM_DIM)
    assert token_mask.shape == tokens.shape[:2]
    assert tokens.isfinite().all()


@pytest.mark.parametrize("embedding_rms", [None, 0.05])
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_gradients_reach_every_parameter(name: str, embedding_rms: float | None) -> None:
    adapter = build(name, embedding_rms).double()
    tokens, _ = adapter(random_features(3), None, random_instruction([7, 3, 5]))
    weights = torch.randn(tokens.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    (tokens * weights).sum().backward()
    without = [
        parameter_name
        for parameter_name, parameter in adapter.named_parameters()
        # Softmax does not see a bias of the keys: published Q-Formers have one all the same.
        if not parameter_name.endswith("heads.key.bias") and not (parameter.grad is not None and parameter.grad.any())
    ]
    assert without == []


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_tokens_start_at_the_scale_of_the_embeddings(name: str) -> None:
    torch.manual_seed(0)
    tokens, mask = BUILDERS[name](embedding_rms=0.05).eval()(1000 * random_features(2))
    scales = tokens[mask].square().mean(-1).sqrt()
    torch.testing.assert_close(scales, torch.full_like(scales, 0.05), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_state_dict_round_trip_gives_the_same_tokens(name: str) -> None:
    adapter, fresh = build(name, embedding_rms=0.1), BUILDERS[name](embedding_rms=0.1).eval()
    fresh.load_state_dict(adapter.state_dict())
    inputs = (random_features(2), None, random_instruction([4, 2]))
    assert torch.equal(fresh(*inputs)[0], adapter(*inputs)[0])


def test_bfloat16_stays_close_to_float32_and_takes_float32_features(adapter: Adapter) -> None:
    inputs = (random_features(2), torch.arange(NUM_FEATURES).expand(2, -1) < 9, random_instruction([4, 2]))
    with torch.no_grad():
        expected, expected_mask = adapter(*inputs)
        tokens, token_mask = adapter.to(torch.bfloat16)(*inputs)
    assert tokens.dtype == torch.bfloat16
    assert torch.equal(token_mask, expected_mask)
    assert float((tokens.float() - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_every_real_token_depends_on_the_features(adapter: Adapter) -> None:
    first, token_mask = adapter(random_features(1))
    second, _ = adapter(random_features(1, seed=8))
    assert ((first - second).abs().amax(-1)[token_mask] > 1e-3).all()


@pytest.mark.parametrize("name", ["linear", "mlp", "resampler", "qformer"])
def test_adapters_without_instructions_ignore_one(name: str) -> None:
    adapter, features = build(name), random_features(2)
    assert not adapter.uses_instruction
    assert adapter.instruction_tokenizer is None
    assert torch.equal(adapter(features, None, random_instruction([4, 2]))[0], adapter(features)[0])


def test_a_wrong_feature_width_is_an_error_that_names_both(adapter: Adapter) -> None:
    with pytest.raises(ValueError, match=r"width 12.*width 13"):
        adapter(torch.zeros(1, NUM_FEATURES, 13))


@pytest.mark.parametrize(
    "mask",
    [torch.ones(2, NUM_FEATURES), torch.ones(2, NUM_FEATURES - 1, dtype=torch.bool)],
    ids=["float", "too_short"],
)
def test_a_mask_of_another_dtype_or_shape_is_an_error(adapter: Adapter, mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"mask must be bool \[2, 16\]"):
        adapter(random_features(2), mask)


def test_features_without_a_batch_are_an_error(adapter: Adapter) -> None:
    with pytest.raises(ValueError, match=r"\[batch, num_features, feature_dim\], got \[16, 12\]"):
        adapter(random_features(1)[0])


@pytest.mark.parametrize(
    ("build_wrong", "message"),
    [
        (lambda: Linear(0, 4), "feature_dim must be at least 1, got 0"),
        (lambda: Linear(4, 4, embedding_rms=0.0), "embedding_rms must be a positive number"),
        (lambda: MLP(4, 4, num_layers=0), "num_layers must be at least 1, got 0"),
        (lambda: MLP(4, 4, layout="circle"), "layout must be one of grid, sequence; got 'circle'"),  # pyright: ignore
        (lambda: Resampler(4, 4, width=10, num_heads=4), "width 10 must be a multiple of num_heads, got num_heads=4"),
        (lambda: QFormer(4, 4, num_queries=0), "num_queries must be at least 1, got 0"),
    ],
)
def test_arguments_out_of_range_are_named(build_wrong: Callable[[], Adapter], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_wrong()


def test_importing_adapters_imports_torch_alone() -> None:
    code = (
        "import sys, torch\n"
        "before = set(sys.modules)  # torch itself loads what says it extends torch\n"
        "import adapters, adapters.qformer_keys\n"
        "print({'transformers', 'safetensors', 'peft', 'accelerate', 'omni'} & (set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
