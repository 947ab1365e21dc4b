"""Log-likelihoods. The language-model loss is a sum over answer tokens: who knows the global batch divides it, once."""

import torch.nn.functional as F
from torch import Tensor


def token_log_likelihoods(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-likelihood of each target in nats, in float32: [K, V], [K] -> [K]."""
    return -F.cross_entropy(logits.float(), targets, reduction="none")
