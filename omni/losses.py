"""Losses. The language-model loss is a sum over answer tokens: whoever knows the global batch divides it, once."""

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 4096  # positions whose float32 logits are in memory at once: 0.8 GB at a vocabulary of 50,000


def answer_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed negative log-likelihood in nats, in float32: logits [K, V], targets [K] -> scalar."""
    total = logits.new_zeros((), dtype=logits.float().dtype)
    for chunk, target in zip(logits.split(_CHUNK), targets.split(_CHUNK), strict=True):
        total = total + F.cross_entropy(chunk.float(), target, reduction="sum")
    return total


def token_log_likelihoods(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-likelihood of each target in nats, in float32: [K, V], [K] -> [K]."""
    chunks = zip(logits.split(_CHUNK), targets.split(_CHUNK), strict=True)
    return torch.cat([-F.cross_entropy(chunk.float(), target, reduction="none") for chunk, target in chunks])
