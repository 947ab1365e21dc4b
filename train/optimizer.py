"""AdamW over what is trained."""

import torch
from torch import nn

from train.config import TrainConfig

# Weight decay suits matrices that multiply activations. Norms, biases, learned queries and positions are no such thing.
DECAYED_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over the parameters of `model` that require a gradient.

    Raises:
        ValueError: nothing is trainable.
    """
    decayed_ids = {id(layer.weight) for layer in model.modules() if isinstance(layer, DECAYED_LAYERS)}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError(
            "nothing to train: the recipe has no modality with an adapter, no trainable encoder and no LoRA"
        )
    groups = [
        {"params": [p for p in trainable if id(p) in decayed_ids], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if id(p) not in decayed_ids], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.lr, betas=(config.betas[0], config.betas[1])
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = value
