"""Short samples padded to one batch: the outputs and gradients of attention behind the written-out mask."""

from typing import Any

import pytest
import torch
from torch import Tensor

from omni.llm import packed_attention_cpu
from omni.llm.packed_attention import block_diagonal_visibility, split_attention

CPU = torch.device("cpu")


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64).requires_grad_()


def behind_mask(
    query: Tensor, key: Tensor, value: Tensor, lengths: list[int], shared: int, window: int | None
) -> Tensor:
    """The same by torch's own attention with a mask of all tokens."""
    visible = block_diagonal_visibility(lengths, CPU, shared)[0, 0]
    if window is not None:
        position = torch.cat([torch.arange(shared), *(shared + torch.arange(length) for length in lengths)])
        visible = visible & (position[:, None] - position[None, :] < window)
    found = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=visible, scale=0.3, enable_gqa=True
    )
    return found.transpose(1, 2)


@pytest.mark.parametrize("window", [None, 3, 6])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (3, 1)])
@pytest.mark.parametrize(("lengths", "shared"), [([3, 5, 1], 0), ([3, 5, 4], 2), ([2, 1], 6), ([7], 0), ([4], 3)])
def test_outputs_and_gradients_are_those_behind_a_mask(
    lengths: list[int], shared: int, heads: tuple[int, int], window: int | None
) -> None:
    tokens = shared + sum(lengths)
    inputs = [random(1, heads[0], tokens, 8), random(1, heads[1], tokens, 8), random(1, heads[1], tokens, 6)]
    layout = packed_attention_cpu.layout_of(tuple(lengths), shared, window)
    found = packed_attention_cpu.attend(*inputs, layout, 0.3)
    expected = behind_mask(*inputs, lengths, shared, window)
    torch.testing.assert_close(found, expected)
    weights = random(*expected.shape).detach()
    for gradient, plain in zip(
        torch.autograd.grad(found, inputs, weights), torch.autograd.grad(expected, inputs, weights), strict=True
    ):
        torch.testing.assert_close(gradient, plain)


def test_what_is_long_or_differs_much_is_not_padded() -> None:
    assert packed_attention_cpu.suits((20, 30, 25), 10)
    assert not packed_attention_cpu.suits((20, 30, packed_attention_cpu.MAX_LENGTH + 1), 10)
    assert not packed_attention_cpu.suits((5, 5, 5, 5, 120), 0)
    assert not packed_attention_cpu.suits((5, 5, 5, 5), 120)


@pytest.mark.parametrize("options", [{"is_causal": False}, {"position_bias": random(1, 2, 5, 5).detach()}])
def test_what_only_torchs_attention_knows_goes_to_it(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [random(1, 2, 5, 8) for _ in range(3)]
    ends = torch.tensor([0, 5], dtype=torch.int32)
    module: Any = torch.nn.Module()

    def attended(**more: Any) -> Tensor:
        return split_attention(module, *inputs, None, cu_seq_lens_q=ends, cu_seq_lens_k=ends, **more)[0]

    plain = attended()
    changed = attended(**options)
    assert not torch.allclose(plain, changed)
    monkeypatch.setattr(packed_attention_cpu, "MAX_LENGTH", 0)
    torch.testing.assert_close(attended(), plain)
    torch.testing.assert_close(attended(**options), changed)
