"""The model that a run begins with: a new one, an earlier one, or an earlier one with something new beside it."""

from collections.abc import Sequence
from pathlib import Path

import torch

from omni.config import to_dict
from omni.joint_space import JointSpace, build_space
from omni.joint_space.checkpoint import is_space
from omni.llm.language_model import SHARED_LORA
from omni.model import OmniModel, build_model
from omni.model.adapter_sources import load_adapter_from
from omni.model.encoder_stack import EncoderStack
from omni.model.growing import add_lora, add_modality
from omni.model.trainable import freeze, unfreeze
from omni.recipe.schema import Recipe
from omni.runtime.parameter_names import named_weights
from train.runtime.seeding import seed_everything


def make_model(recipe: Recipe, checkpoint: Path | None, device: torch.device) -> tuple[EncoderStack, list[str]]:
    """The model of `checkpoint` to continue a run, else that which the recipe begins with; frozen as the recipe says.

    Returns it with lines that tell, part by part, where its weights are from and whether they are trained.

    Raises:
        FileNotFoundError, ValueError: naming the key of the recipe that does not fit.
    """
    begins_with = checkpoint or recipe.init_from
    if recipe.joint_space is not None or (begins_with is not None and is_space(begins_with)):
        return _make_space(recipe, begins_with, device)
    origins: dict[str, str] = {}  # part -> where its weights are from
    if checkpoint is not None:
        model = OmniModel.load(checkpoint, device=device)
        origins = dict.fromkeys(_parts(model), f"from {checkpoint}")
    else:
        seed_everything(recipe.train.seed)  # new weights are drawn from the global generator
        if recipe.init_from is not None:
            model = OmniModel.load(recipe.init_from, device=device)
            origins = dict.fromkeys(_parts(model), f"from {recipe.init_from}")
            _add(model, recipe)
        else:
            assert recipe.model is not None
            model = build_model(recipe.model, device)
        for name, source in recipe.init_adapters.items():
            if name in origins:
                raise ValueError(
                    f"init_adapters.{name}: {recipe.init_from} has this modality, trained already; leave one of the "
                    "two out"
                )
            report = load_adapter_from(model.modality(name).adapter, name, source, f"init_adapters.{name}")
            origins[name] = str(report)
    if recipe.add_modalities:
        _freeze_all_but(model, recipe)
    freeze(model, recipe.train.freeze, "train.freeze")
    unfreeze(model, recipe.train.unfreeze, "train.unfreeze")
    return model, _report(model, origins)


def _make_space(recipe: Recipe, begins_with: str | Path | None, device: torch.device) -> tuple[EncoderStack, list[str]]:
    if begins_with is not None:
        space = JointSpace.load(begins_with, device=device)
    else:
        assert recipe.joint_space is not None
        seed_everything(recipe.train.seed)  # new weights are drawn from the global generator
        space = build_space(recipe.joint_space, device)
    freeze(space, recipe.train.freeze, "train.freeze")
    unfreeze(space, recipe.train.unfreeze, "train.unfreeze")
    origin = "new" if begins_with is None else f"from {begins_with}"
    lines = []
    for name in space.modalities:
        modality = space.modality(name)
        weights = [*modality.trained_part.parameters(), *modality.encoder.parameters()]
        trained = sum(weight.numel() for weight in weights if weight.requires_grad)
        head, encoder = type(modality.head).__name__, modality.encoder.class_name
        lines.append(
            f"  {name}: {encoder} and {head}, {origin}; {f'{trained:,} weights trained' if trained else 'frozen'}"
        )
    return space, lines


def _add(model: OmniModel, recipe: Recipe) -> None:
    for name, config in recipe.add_modalities.items():
        if name not in model.modalities:
            add_modality(model, name, config)
        elif to_dict(model.modality(name).config) != to_dict(config):
            raise ValueError(
                f"add_modalities.{name}: {recipe.init_from} has a modality {name!r} that is built otherwise; give the "
                f"new one another name, or leave it out to go on with that of {recipe.init_from}"
            )
    if recipe.add_lora is not None:
        if not model.llm.has_lora:
            add_lora(model, recipe.add_lora)
        elif model.llm.config.lora != recipe.add_lora:
            raise ValueError(
                f"add_lora: {recipe.init_from} has LoRAs already ({', '.join(model.llm.lora_names())}), with other "
                "settings; leave add_lora out to go on with them"
            )


def _freeze_all_but(model: OmniModel, recipe: Recipe) -> None:
    """Freeze all that was there before `add_modalities` and `add_lora`."""
    new_loras = model.llm.lora_names() if recipe.add_lora is not None else [*recipe.add_modalities]
    for name, weight in named_weights(model).items():
        part = _part_of(name)
        if part not in recipe.add_modalities and not (part.startswith("LoRA ") and part[5:] in new_loras):
            weight.requires_grad_(False)


def _parts(model: OmniModel) -> list[str]:
    """Modalities, LoRAs and, where weights of it were trained, the LLM."""
    loras = [f"LoRA {name}" for name in model.llm.lora_names()]
    return [*model.modalities, *loras, *(["LLM"] if any(name.startswith("llm.") for name in model.unfrozen) else [])]


def _part_of(name: str) -> str:
    if name.startswith("modalities."):
        return name.split(".")[1]
    return f"LoRA {name.rpartition('.lora_')[2].split('.')[1]}" if ".lora_" in name else "LLM"


def _report(model: OmniModel, origins: dict[str, str]) -> list[str]:
    weights: dict[str, dict[str, torch.nn.Parameter]] = {part: {} for part in _parts(model)}
    for name, weight in named_weights(model).items():
        part = _part_of(name)
        saved = ".adapter." in name or ".lora_" in name or name in model.unfrozen or weight.requires_grad
        if part in weights and saved:
            weights[part][name] = weight
    return [_line(part, origins.get(part, "new"), [*found.values()], model) for part, found in weights.items()]


def _line(part: str, origin: str, weights: Sequence[torch.nn.Parameter], model: OmniModel) -> str:
    count = sum(weight.numel() for weight in weights)
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    state = "trained" if trained == count else "frozen" if not trained else f"{trained:,} of them trained"
    kind = f"{type(model.modality(part).adapter).__name__}, " if part in model.modalities else ""
    name = part.replace(SHARED_LORA, "of all modalities") if part == f"LoRA {SHARED_LORA}" else part
    return f"  {name}: {kind}{len(weights)} tensors with {count:,} weights, {origin}; {state}"
