"""Log-likelihoods. The language-model loss is their sum over answer tokens, divided once the global batch is known."""

import torch.nn.functional as F
from torch import Tensor


def token_log_likelihoods(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the log-likelihood of each target in nats, in float32: [K, V], [K] -> [K]."""
    return -F.cross_entropy(logits.float(), targets, reduction="none")
