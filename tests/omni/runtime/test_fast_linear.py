import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, distribute_module, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from omni.runtime.fast_linear import FastLinear, linear, linear_gelu, slow_down_linears, speed_up_linears


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def gradients_of(layer: nn.Linear, inputs: Tensor) -> list[Tensor]:
    """Output, and gradients of the sum of its squares with respect to inputs and what is trained."""
    inputs = inputs.detach().to(layer.weight.dtype).requires_grad_()
    outputs = layer(inputs)
    trained = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    return [outputs.detach(), *torch.autograd.grad(outputs.square().sum(), [inputs, *trained])]


@pytest.mark.parametrize("shape", [(7, 24), (3, 5, 24), (1, 1, 24), (24,)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_fast_layers_equal_torchs_in_float32(shape: tuple[int, ...], has_bias: bool) -> None:
    layer = nn.Linear(24, 40, bias=has_bias)
    inputs = random(*shape)
    expected = layer.double()(inputs.double()).detach()
    layer.float()
    with torch.no_grad():
        torch.testing.assert_close(linear(inputs, layer.weight, layer.bias).double(), expected, atol=1e-6, rtol=0)
        exact = nn.functional.gelu(expected)
        torch.testing.assert_close(linear_gelu(inputs, layer.weight, layer.bias).double(), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("trained", ["nothing", "weight", "bias", "both"])
@pytest.mark.parametrize("shape", [(64, 24), (2, 6, 24), (1, 24)])
def test_gradients_are_those_of_double_precision(trained: str, shape: tuple[int, ...]) -> None:
    layer = FastLinear(24, 40)
    layer.weight.requires_grad_(trained in ("weight", "both"))
    layer.bias.requires_grad_(trained in ("bias", "both"))
    found = gradients_of(layer, random(*shape))
    expected = gradients_of(layer.double(), random(*shape))
    for value, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(value.double(), exact, atol=1e-5, rtol=1e-5)


def test_a_gradient_that_is_one_number_everywhere_is_taken() -> None:
    layer, inputs = FastLinear(24, 40), random(6, 24).requires_grad_()
    layer(inputs).sum().backward()  # the gradient is expanded: all its strides are 0
    assert inputs.grad is not None
    torch.testing.assert_close(inputs.grad, layer.weight.detach().sum(0).expand(6, 24), atol=1e-5, rtol=0)


def test_gradients_have_gradients() -> None:
    layer, inputs = FastLinear(24, 40), random(6, 24).requires_grad_()

    def penalty() -> Tensor:
        (slope,) = torch.autograd.grad(layer(inputs).square().sum(), inputs, create_graph=True)
        return torch.cat(
            [found.flatten() for found in torch.autograd.grad(slope.square().sum(), [*layer.parameters()])]
        )

    fast = penalty()
    slow_down_linears(layer)
    torch.testing.assert_close(fast, penalty(), atol=1e-3, rtol=1e-5)


def test_compiled_layers_give_the_same() -> None:
    layer = FastLinear(24, 40)
    compiled: Any = torch.compile(layer, dynamic=True, fullgraph=True)
    for rows in (5, 9):
        for found, expected in zip(
            gradients_of(compiled, random(rows, 24)), gradients_of(layer, random(rows, 24)), strict=True
        ):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_gelu_has_gradients_where_they_are_asked_for() -> None:
    layer, inputs = nn.Linear(4, 3), random(5, 4).requires_grad_()
    found = torch.autograd.grad(linear_gelu(inputs, layer.weight, layer.bias).sum(), [inputs, *layer.parameters()])
    expected = torch.autograd.grad(nn.functional.gelu(layer(inputs)).sum(), [inputs, *layer.parameters()])
    for value, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(value, plain, atol=1e-6, rtol=0)


def test_strided_inputs_and_bfloat16_are_taken() -> None:
    layer = nn.Linear(6, 4)
    inputs = random(5, 6, 3).transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(linear(inputs, layer.weight, layer.bias), layer(inputs), atol=1e-6, rtol=0)
        torch.testing.assert_close(linear(inputs[:0], layer.weight, layer.bias), layer(inputs[:0]))
        half = layer.bfloat16()
        assert linear(inputs.bfloat16(), half.weight, half.bias).dtype == torch.bfloat16


def test_automatic_mixed_precision_still_computes_in_bfloat16() -> None:
    layer = FastLinear(24, 40)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(random(8, 24)).dtype == torch.bfloat16


def test_inputs_of_another_width_are_torchs_own_error() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        FastLinear(24, 40)(random(8, 25))


@pytest.mark.parametrize("bias", [random(1), random(40).double(), random(39)])
def test_odd_biases_are_torchs_to_take_or_refuse(bias: Tensor) -> None:
    layer, plain, inputs = FastLinear(24, 40), nn.Linear(24, 40), random(8, 24)
    for one in (layer, plain):
        one.weight, one.bias = nn.Parameter(random(40, 24)), nn.Parameter(bias)
    try:
        expected = plain(inputs)
    except RuntimeError as error:
        with pytest.raises(RuntimeError, match=re.escape(str(error))):
            layer(inputs)
    else:
        torch.testing.assert_close(layer(inputs), expected, atol=1e-6, rtol=0)


def test_function_transforms_tracing_and_sparse_or_nested_inputs_are_left_to_torch() -> None:
    layer, inputs = FastLinear(24, 40), random(8, 24)
    expected = layer(inputs)
    jacobian = torch.func.vmap(torch.func.jacrev(layer))(inputs)
    torch.testing.assert_close(jacobian, layer.weight.expand(8, 40, 24), atol=1e-6, rtol=0)
    traced: Any = torch.jit.trace(layer, inputs)
    nested: Any = torch.nested.nested_tensor([inputs[:3], inputs[3:]], layout=torch.jagged)
    strided: Any = torch.nested.nested_tensor([inputs[:3], inputs[3:]])  # which has no shape
    for found in (
        traced(inputs),
        layer(inputs.to_sparse()),
        layer(nested).values(),
        torch.cat(layer(strided).unbind()),
    ):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_weights_that_are_spread_over_processes_are_left_to_torch() -> None:
    torch.distributed.init_process_group("fake", rank=0, world_size=1, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (1,))
        layer, inputs = FastLinear(24, 40), random(8, 24)
        expected = layer(inputs)
        distribute_module(layer, mesh)
        found = layer(distribute_tensor(inputs, mesh, [Replicate()]))
        torch.testing.assert_close(found.to_local(), expected, atol=1e-6, rtol=0)
    finally:
        torch.distributed.destroy_process_group()


def test_plain_layers_are_changed_and_others_are_not() -> None:
    class Scaled(nn.Linear):
        """Somebody's own layer."""

    network = nn.Sequential(nn.Linear(3, 3), Scaled(3, 3), nn.Sequential(nn.Linear(3, 3)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    speed_up_linears(network)
    kinds = [type(network[0]), type(network[1]), type(network.get_submodule("2.0"))]
    assert kinds == [FastLinear, Scaled, FastLinear] or kinds == [
        nn.Linear,
        Scaled,
        nn.Linear,
    ]  # not on other processors
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    slow_down_linears(network)
    assert type(network[0]) is nn.Linear
