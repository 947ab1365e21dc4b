"""Random weights for tests of networks that are read from a file."""

import torch
from torch import Tensor

from omni.encoders.efficientnet import VARIANTS, EfficientNetLiteNetwork


def efficientnet_state(variant: str = "lite0", seed: int = 0) -> dict[str, Tensor]:
    """Weights with batch norms that do something, so that features are of usual size and folding is put to a test."""
    torch.manual_seed(seed)
    state = EfficientNetLiteNetwork(VARIANTS[variant]).state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(
                0.15, 0.7
            )  # smaller ones make the network chaotic: it enlarges rounding errors without bound
        elif name.endswith("running_mean") or (".bias" in name and "_fc" not in name):
            value.normal_(0, 0.3)
    return state
