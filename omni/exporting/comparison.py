"""Compare what was exported with the model that it was made of, before anybody relies on it.

Shapes: L tokens, V vocabulary.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

_NUM_TOKENS = 64
# Largest error that rounding explains, as a share of the logits' own spread. In 16 bits a merged weight is rounded once
# more: 2^-9 of it in bfloat16, which some tens of layers add up to some percent of the logits.
_LARGEST_ERROR = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def probe_ids(num_embeddings: int, context_length: int) -> Tensor:
    """Return ids of tokens from all over a vocabulary: [L]."""
    count = min(_NUM_TOKENS, num_embeddings, context_length)
    return torch.arange(count) * num_embeddings // count


@torch.no_grad()
def logits_of(model: nn.Module, token_ids: Tensor) -> Tensor:
    """Return the logits of a causal LM after each of the tokens [L], in float32 on the CPU: [L, V]."""
    device = next(model.parameters()).device
    return cast(Any, model)(input_ids=token_ids[None].to(device), use_cache=False).logits[0].float().cpu()


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the root mean square of the difference, as a share of the spread of what is expected."""
    spread = (expected - expected.mean(-1, keepdim=True)).pow(2).mean().sqrt()
    return ((found - expected).pow(2).mean().sqrt() / spread).item()


def check_logits(found: Tensor, expected: Tensor, dtype: torch.dtype, what: str) -> float:
    """Return the relative error of logits [L, V] of an export.

    Args:
        found: those of the export.
        expected: those of the model.
        dtype: number format of the weights, which says how much rounding explains.
        what: which export, for the error.

    Raises:
        ValueError: they differ by more than rounding.
    """
    error = relative_error(found, expected) if found.shape == expected.shape else float("nan")
    if not error <= _LARGEST_ERROR[dtype]:
        raise ValueError(
            f"{what}: its logits are not those of the model (they differ by {error:.2g} of their spread, more than the "
            f"{_LARGEST_ERROR[dtype]} that rounding in {str(dtype).removeprefix('torch.')} explains), so nothing was "
            "written"
        )
    return error
