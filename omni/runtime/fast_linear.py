"""Linear layers by the fastest matrix product that the machine has, with the same rounding errors.

On an x86 processor torch multiplies float32 matrices with MKL, which takes a slow path on AMD's processors: oneDNN,
which torch also ships, was measured there at twice its speed, forwards and backwards. bfloat16 goes to oneDNN anyway.
Shapes: B rows, K input width, N output width.
"""

import platform
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_HAS_ONEDNN = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()

# Measured: a product of fewer rows with a small weight is over before oneDNN has begun.
MIN_ROWS = 4
MIN_WEIGHTS = 1 << 21


class FastLinear(nn.Linear):
    """An `nn.Linear` that multiplies by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def speed_up_linears(network: nn.Module) -> None:
    """Make every plain `nn.Linear` of the network a `FastLinear` with the same weights and names; subclasses stay."""
    if not _HAS_ONEDNN:
        return
    for module in network.modules():
        if type(module) is nn.Linear:
            module.__class__ = FastLinear


def slow_down_linears(network: nn.Module) -> None:
    """Undo `speed_up_linears`, for comparisons."""
    for module in network.modules():
        if type(module) is FastLinear:
            module.__class__ = nn.Linear  # pyright: ignore[reportAttributeAccessIssue]


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply [..., K], [N, K], [N] -> [..., N], with gradients for whatever needs one."""
    if _suits_onednn(inputs, weight, bias):
        return cast(Tensor, _OnednnLinear.apply(inputs, weight, bias))
    return functional.linear(inputs, weight, bias)


def linear_gelu(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply `linear`, then exact GELU; in one pass where oneDNN does both and nothing needs a gradient."""
    if _suits_onednn(inputs, weight, bias) and not torch.is_grad_enabled():
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "gelu", [], "none")
    return functional.gelu(linear(inputs, weight, bias))


def _suits_onednn(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Check the cheapest condition first, and few rows before the rest: generation asks for every layer and token."""
    if not _HAS_ONEDNN or inputs.device.type != "cpu" or not inputs.dtype == weight.dtype == torch.float32:
        return False
    if not (_is_dense(inputs) and _is_dense(weight)) or weight.numel() == 0 or inputs.shape[-1] != weight.shape[-1]:
        return False
    rows = inputs.numel() // inputs.shape[-1]
    if rows < MIN_ROWS and (rows == 0 or weight.numel() < MIN_WEIGHTS):
        return False
    if bias is not None and (bias.dtype != torch.float32 or bias.shape != weight.shape[:1]):
        return False
    return not torch.is_autocast_enabled("cpu") and not _is_transformed()


def _is_dense(tensor: Tensor) -> bool:
    """Return whether this is a plain tensor: not distributed, nested, sparse, or a recorder of operations."""
    return type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_nested


def _is_transformed() -> bool:
    """Return whether torch.func's transforms or torch.jit's tracing are active, which need torch's own operator."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or torch._C._get_tracing_state() is not None


class _OnednnLinear(torch.autograd.Function):
    """The product with its gradients, which oneDNN's operator lacks."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs if weight.requires_grad else None, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        (gradient,) = grad_outputs
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad
        rows = gradient.reshape(-1, gradient.shape[-1])  # [B, N]
        of_inputs = _OnednnLinear.apply(gradient, weight.t(), None) if needs_inputs else None
        of_weight = _OnednnLinear.apply(rows.t(), inputs.reshape(len(rows), -1).t(), None) if needs_weight else None
        return of_inputs, of_weight, rows.sum(0) if needs_bias else None


def _product(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply [..., K], [N, K], [N] -> [..., N]."""
    if torch.compiler.is_compiling():
        return _opaque_product(left, right, bias)
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")


# Inductor would copy the transposed weights of the backward pass, which oneDNN reads as they are.
@torch.library.custom_op("omni::onednn_product", mutates_args=())
def _opaque_product(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")


@_opaque_product.register_fake
def _(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    return left.new_empty((*left.shape[:-1], right.shape[0]))
