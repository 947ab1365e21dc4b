import pytest
import torch
from torch import nn

from omni.encoders.fast_linear import linear, linear_gelu


@pytest.mark.parametrize("shape", [(7, 24), (3, 5, 24), (1, 1, 24)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_fast_layers_equal_torchs_in_float32(shape: tuple[int, ...], has_bias: bool) -> None:
    layer = nn.Linear(24, 40, bias=has_bias)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = layer.double()(inputs.double()).detach()
    layer.float()
    with torch.no_grad():
        torch.testing.assert_close(linear(inputs, layer.weight, layer.bias).double(), expected, atol=1e-6, rtol=0)
        exact = nn.functional.gelu(expected)
        torch.testing.assert_close(linear_gelu(inputs, layer.weight, layer.bias).double(), exact, atol=1e-6, rtol=0)


def test_gradients_flow_where_they_are_asked_for() -> None:
    layer, inputs = nn.Linear(4, 3), torch.randn(2, 4, requires_grad=True)
    linear_gelu(inputs, layer.weight, layer.bias).sum().backward()
    assert layer.weight.grad is not None
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0


def test_strided_inputs_and_bfloat16_are_taken() -> None:
    layer = nn.Linear(6, 4)
    inputs = torch.randn(5, 6, 3).transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(linear(inputs, layer.weight, layer.bias), layer(inputs), atol=1e-6, rtol=0)
        half = layer.bfloat16()
        assert linear(inputs.bfloat16(), half.weight, half.bias).dtype == torch.bfloat16
