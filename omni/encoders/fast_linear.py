"""Linear layers of frozen networks, by the fastest matrix product that the machine has.

On an x86 processor torch multiplies float32 matrices with MKL, which takes a slow path on AMD's: oneDNN was measured
there at twice its speed, with the same rounding errors. torch comes with both.
Shapes: B rows, K input width, N output width.
"""

import platform

import torch
from torch import Tensor
from torch.nn import functional

_IS_X86 = platform.machine().lower() in ("x86_64", "amd64")


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """[..., K], [N, K], [N] -> [..., N]."""
    if _suits_onednn(inputs):
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return functional.linear(inputs, weight, bias)


def linear_gelu(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`linear`, then exact GELU, in one pass where oneDNN does both."""
    if _suits_onednn(inputs):
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "gelu", [], "none")
    return functional.gelu(functional.linear(inputs, weight, bias))


def _suits_onednn(inputs: Tensor) -> bool:
    """bfloat16 goes to oneDNN anyway, and its product has no gradient when it is called like this."""
    is_float32_on_cpu = inputs.device.type == "cpu" and inputs.dtype == torch.float32
    return is_float32_on_cpu and _IS_X86 and torch.backends.mkldnn.is_available() and not torch.is_grad_enabled()
