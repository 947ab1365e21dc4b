"""What a model card says of frozen and trained encoders, and of weights that are not in the folder."""

from collections.abc import Collection, Mapping
from typing import Any

from omni.encoders.base import Encoder
from omni.model.trainable import encoder_of
from omni.runtime.hub import is_hub_id
from omni.starter import ASSETS
from omni.starter.locations import STARTER_SCHEME


def encoder_cell(name: str, encoder: Encoder, unfrozen: Collection[str]) -> str:
    """Return what the card's table says of the encoder of the modality `name`: its class, and whether it was trained.

    unfrozen: plain names of pretrained weights that were trained.
    """
    is_trained = (
        encoder.trainable
        or any(parameter.requires_grad for parameter in encoder.parameters())
        or any(encoder_of(weight) == name for weight in unfrozen)
    )
    return f"{encoder.class_name}, {'trained' if is_trained else 'frozen'}"


def hub_name(name: str) -> str | None:
    """Return the id on the hub of a model that a recipe names; None for a folder, or where it is not known."""
    if name.startswith(STARTER_SCHEME):
        asset = ASSETS.get(name.removeprefix(STARTER_SCHEME).split("/")[0])
        return None if asset is None else asset.hub_id
    return name if is_hub_id(name) else None


def frozen_lines(sources: Mapping[str, str]) -> list[str]:
    """Return the section of the card on weights that are not in the folder: part -> what the recipe names."""
    lines = []
    for part, name in sources.items():
        asset = ASSETS.get(name.removeprefix(STARTER_SCHEME).split("/")[0]) if name.startswith(STARTER_SCHEME) else None
        there = "" if asset is None else f", which is {asset.hub_id or asset.source}"
        lines.append(f"- {part}: {name}{there}")
    return ["## Weights that are not in this folder", "", *lines, ""] if lines else []


def sources_of(configs: Mapping[str, Any]) -> dict[str, str]:
    """Return what the encoders' configs name as their weights: `image encoder` -> a starter asset, an id or a path."""
    found = {}
    for name, config in configs.items():
        arguments = {} if config is None else config.encoder.init_args
        source = next((arguments[key] for key in ("name", "weights") if isinstance(arguments.get(key), str)), None)
        if source is not None:
            found[f"{name} encoder"] = source
    return found
