"""The model that a run begins with: a new one, an earlier one, or an earlier one with something new next to it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from omni.config import to_dict
from omni.joint_space import JointSpace, build_space
from omni.joint_space.folder import is_space
from omni.llm.language_model import SHARED_LORA
from omni.model import OmniModel, build_model
from omni.model.adapter_sources import load_adapter_from
from omni.model.building import add_lora, add_modality
from omni.model.encoder_stack import EncoderStack
from omni.model.trainable import Part, freeze, freeze_all_but, saved_weights, unfreeze
from omni.recipe.schema import Recipe
from train.runtime.seeding import seed_everything


def make_model(recipe: Recipe, checkpoint: Path | None, device: torch.device) -> tuple[EncoderStack, list[str]]:
    """The model of `checkpoint` to continue a run, else that which the recipe begins with; frozen as the recipe says.

    Returns it with lines that tell, part by part, where its weights are from and whether they are trained.

    Raises:
        FileNotFoundError, ValueError: naming the key of the recipe that does not fit.
    """
    try:
        with recipe.opens_folders():
            return _make_model(recipe, checkpoint, device)
    except (FileNotFoundError, ValueError):
        raise
    except Exception as error:  # of transformers, PEFT or a class of the user's: no common class, and no key
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"the model cannot be made as the recipe says ({reason})") from error


def _make_model(recipe: Recipe, checkpoint: Path | None, device: torch.device) -> tuple[EncoderStack, list[str]]:
    begins_with = checkpoint or recipe.init_from
    if recipe.joint_space is not None or (begins_with is not None and is_space(begins_with)):
        return _make_space(recipe, begins_with, device)
    origins: dict[Part, str] = {}  # where the weights of a part are from
    if checkpoint is not None:
        model = OmniModel.load(checkpoint, device=device)
        origins = dict.fromkeys(saved_weights(model), f"from {checkpoint}")
    else:
        seed_everything(recipe.train.seed)  # new weights are drawn from the global generator
        if recipe.init_from is not None:
            model = OmniModel.load(recipe.init_from, device=device)
            origins = dict.fromkeys(saved_weights(model), f"from {recipe.init_from}")
            _add(model, recipe)
        else:
            assert recipe.model is not None
            model = build_model(recipe.model, device)
        for name, source in recipe.init_adapters.items():
            part = Part("modality", name)
            if part in origins:
                raise ValueError(
                    f"init_adapters.{name}: {recipe.init_from} has this modality, trained already; leave one of the "
                    "two out"
                )
            report = load_adapter_from(model.modality(name).adapter, name, source, f"init_adapters.{name}")
            origins[part] = str(report)
    if recipe.add_modalities:
        _freeze_all_but_added(model, recipe)
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
    weights = saved_weights(space)
    lines = []
    for name in space.modalities:
        modality = space.modality(name)
        own = weights[Part("modality", name)].values()
        trained = sum(weight.numel() for weight in own if weight.requires_grad)
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


def _freeze_all_but_added(model: OmniModel, recipe: Recipe) -> None:
    """Freeze all that was there before `add_modalities` and `add_lora`."""
    new_loras = model.llm.lora_names() if recipe.add_lora is not None else [*recipe.add_modalities]
    added = [Part("modality", name) for name in recipe.add_modalities]
    freeze_all_but(model, [*added, *(Part("lora", name) for name in new_loras)])


def _report(model: OmniModel, origins: Mapping[Part, str]) -> list[str]:
    parts = saved_weights(model)
    return [_line(part, origins.get(part, "new"), [*weights.values()], model) for part, weights in parts.items()]


def _line(part: Part, origin: str, weights: Sequence[torch.nn.Parameter], model: OmniModel) -> str:
    count = sum(weight.numel() for weight in weights)
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    state = "trained" if trained == count else "frozen" if not trained else f"{trained:,} of them trained"
    kind = f"{type(model.modality(part.name).adapter).__name__}, " if part.kind == "modality" else ""
    name = "LoRA of all modalities" if part == Part("lora", SHARED_LORA) else str(part)
    return f"  {name}: {kind}{len(weights)} tensors with {count:,} weights, {origin}; {state}"
