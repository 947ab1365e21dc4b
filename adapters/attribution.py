"""How much each media token stands on each feature, by the attention inside an adapter.

Through several layers it is attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): each layer takes half of a
state from where it was, and half from what it attends to, weighted by the mean over heads.
Shapes: B batch, N features, Q media tokens, S states (the media tokens, and others that attend with them).
"""

import torch
from torch import Tensor


def own_features(mask: Tensor) -> Tensor:
    """Return [B, N, N] for tokens that are made of one feature each, from the mask [B, N] of the features."""
    return torch.diag_embed(mask.float())


def all_features(mask: Tensor, num_tokens: int) -> Tensor:
    """Return [B, num_tokens, N] for tokens that are made of all real features [B, N] in equal parts."""
    shares = mask.float() / mask.sum(1, keepdim=True).clamp(min=1)
    return shares[:, None].expand(-1, num_tokens, -1)


def through_states(attributed: Tensor, weights: Tensor) -> Tensor:
    """Carry [B, S, N] through a layer whose states attend to each other by `weights` [B, S or fewer, S]."""
    return (attributed[:, : weights.shape[1]] + weights @ attributed) / 2


def through_features(attributed: Tensor, weights: Tensor) -> Tensor:
    """Carry [B, Q, N] through a layer whose states attend to the features by `weights` [B, Q, N]."""
    return (attributed + weights) / 2


def normalised(attributed: Tensor, mask: Tensor) -> Tensor:
    """Scale the rows of [B, Q, N] so that they sum to 1 over the real features, `mask` [B, N]; no feature, all zero."""
    real = attributed.masked_fill(~mask[:, None], 0.0)
    return real / real.sum(-1, keepdim=True).clamp(min=torch.finfo(real.dtype).tiny)
