"""Attention masks in the form that transformers adds to the scores."""

import torch
from torch import Tensor


def additive_mask(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn True where attention may look into 0, and False into the lowest number of `dtype`; the shape stays."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, torch.finfo(dtype).min)
