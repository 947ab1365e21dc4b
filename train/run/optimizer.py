"""The optimiser over what is trained, with a learning rate and weight decay for each part of the model."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from omni.recipe.schema import TrainConfig
from omni.runtime.parameter_names import matches, named_weights, near_names

# Weight decay suits matrices that multiply activations. Norms, biases, learned queries and positions are no such thing.
DECAYED_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

_BITSANDBYTES = {
    "adamw_8bit": "AdamW8bit",
    "paged_adamw_8bit": "PagedAdamW8bit",
    "paged_adamw_32bit": "PagedAdamW32bit",
}


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters of `model` that require a gradient.

    Raises:
        ValueError: nothing is trainable, a group of the recipe that no trained parameter is in, or an optimiser whose
            package or hardware is not there.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError(
            "nothing to train: the recipe has no modality with an adapter, no trainable encoder and no LoRA, or "
            "train.freeze names all of them"
        )
    groups = parameter_groups(model, config)
    betas = (config.betas[0], config.betas[1])
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=betas)  # Loshchilov and Hutter 2019
    return _bitsandbytes_class(config.optimizer, trainable)(groups, lr=config.lr, betas=betas)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Groups for an optimiser, none empty: `params`, `weight_decay`, `lr`, and `highest_lr` for the schedule."""
    decayed_ids = {id(layer.weight) for layer in model.modules() if isinstance(layer, DECAYED_LAYERS)}
    groups = []
    for lr, weight_decay, members in _recipe_groups(model, config):
        for decay, is_decayed in ((weight_decay, True), (0.0, False)):
            params = [parameter for parameter in members if (id(parameter) in decayed_ids) == is_decayed]
            if params:
                groups.append({"params": params, "weight_decay": decay, "lr": lr, "highest_lr": lr})
    return groups


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set the learning rate of every parameter group to `share` of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest_lr"] * share


def _recipe_groups(model: nn.Module, config: TrainConfig) -> list[tuple[float, float, list[nn.Parameter]]]:
    """Learning rate, weight decay and parameters: of what no group of the recipe matches, then of each group."""
    # `model` is that of train.step.TrainingStep; a tied weight is there under each of its names
    # The state of an optimiser goes by position. In the order of names, a position means the same weight in a model
    # that is loaded as in one that is new, whose LoRAs may have been added in another order.
    rest = {
        name.removeprefix("model."): weight
        for name, weight in sorted(named_weights(model).items())
        if weight.requires_grad
    }
    groups = []
    for index, group in enumerate(config.parameter_groups):
        patterns = [group.match] if isinstance(group.match, str) else group.match
        members: dict[int, nn.Parameter] = {}
        for pattern in patterns:
            found = {id(weight): weight for name, weight in rest.items() if matches(name, pattern)}
            if not found:
                raise ValueError(_no_match(index, pattern, [*rest], config))
            members |= found
        rest = {name: weight for name, weight in rest.items() if id(weight) not in members}
        lr = config.lr if group.lr is None else group.lr
        weight_decay = config.weight_decay if group.weight_decay is None else group.weight_decay
        groups.append((lr, weight_decay, [*members.values()]))
    left = {id(weight): weight for weight in rest.values()}
    return [(config.lr, config.weight_decay, [*left.values()]), *groups]


def _no_match(index: int, pattern: str, names: Sequence[str], config: TrainConfig) -> str:
    earlier = " that no earlier group has" if index else ""
    frozen = " (train.freeze may have frozen it)" if config.freeze else ""
    key = f"train.parameter_groups[{index}].match"
    return f"{key}: {pattern!r} matches nothing that is trained{earlier}{frozen}. {near_names(pattern, names)}"


def _bitsandbytes_class(name: str, trainable: Sequence[nn.Parameter]) -> Any:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(f"train.optimizer: {name} needs bitsandbytes: pip install 'omni[quantization]'")
    devices = {parameter.device.type for parameter in trainable}
    if name.startswith("paged_") and "cpu" in devices:
        raise ValueError(
            f"train.optimizer: {name} pages its states between the memories of GPU and CPU, but this run trains on the "
            "CPU; use adamw_8bit or adamw there"
        )
    from bitsandbytes import optim  # an optional package, and seconds to import

    return getattr(optim, _BITSANDBYTES[name])
