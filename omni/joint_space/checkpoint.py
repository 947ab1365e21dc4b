"""Folders of joint spaces: what was trained, how to build the rest again, a model card, and indexes.

`joint_space.safetensors` (heads, the logit scale, and what else was trained), `config.yaml`, `README.md`,
`indexes/NAME/`, and `centers.safetensors` where centres were measured.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml
from safetensors.torch import load_file, save_file

from omni.config import JointSpaceConfig, from_dict, to_dict
from omni.joint_space.card import render_space_card
from omni.joint_space.index import EmbeddingIndex
from omni.model.card import ModelCard
from omni.model.checkpoint import FORMAT_VERSION, load_trained_state, read_config_file, read_unfrozen, trained_state
from omni.runtime.files import recover_directory, refuse_foreign, replace_directory

if TYPE_CHECKING:
    from omni.joint_space.space import JointSpace

SPACE_FILE = "joint_space.safetensors"
_INDEXES = "indexes"
_CENTERS = "centers.safetensors"
_FILES = {SPACE_FILE, "config.yaml", "README.md", _INDEXES, _CENTERS}


def write_space(space: JointSpace, directory: Path) -> None:
    """Write the files of a space into an existing folder; `save_space` does it atomically."""
    values = {
        "format_version": FORMAT_VERSION,
        "joint_space": to_dict(space.config),
        "unfrozen": sorted(space.unfrozen),
        "card": to_dict(space.card),
    }
    save_file(trained_state(space), str(directory / SPACE_FILE))
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (directory / "config.yaml").write_text(text, encoding="utf-8")
    (directory / "README.md").write_text(render_space_card(space), encoding="utf-8")
    if space.centers:
        save_file({name: center.contiguous() for name, center in space.centers.items()}, str(directory / _CENTERS))
    for name, index in space.indexes.items():
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no valid name of an index; use letters, digits and underscores")
        folder = directory / _INDEXES / name
        folder.mkdir(parents=True)
        index.write(folder)


def save_space(space: JointSpace, directory: Path, card: ModelCard | None) -> None:
    """Write a space's folder in one atomic step: after a crash the old folder or the new one is there, whole.

    Raises:
        ValueError: the folder holds something else than a space, which replacing it would delete.
    """
    if card is not None:
        space.card = card
    refuse_foreign(directory, _FILES)
    with replace_directory(directory) as temporary:
        write_space(space, temporary)


def load_space(directory: Path, modalities: Collection[str] | None, device: str | torch.device | None) -> JointSpace:
    """Load a space's folder, or of it only some modalities.

    Raises:
        FileNotFoundError: no space there.
        ValueError: keys that do not fit, or a modality that it does not have.
    """
    from omni.joint_space.space import build_space  # the two modules need each other: a space saves itself

    config, card = read_space_config(directory)
    left_out: list[str] = []
    if modalities is not None:
        unknown = sorted(set(modalities) - set(config.modalities))
        if unknown or not modalities:
            raise ValueError(f"{directory} has no modality {unknown}; it has {sorted(config.modalities)}")
        left_out = [name for name in config.modalities if name not in modalities]
        config = replace(config, modalities={name: config.modalities[name] for name in modalities})
    space = build_space(config, device, card)
    ignored = tuple(f"modalities.{name}." for name in left_out)
    space.unfrozen = {name for name in read_unfrozen(directory) if not name.startswith(ignored)}
    load_trained_state(space, directory, file_name=SPACE_FILE, ignored=ignored)
    if (directory / _CENTERS).exists():
        centers = load_file(directory / _CENTERS)
        space.centers = {name: center for name, center in centers.items() if name in config.modalities}
    for folder in sorted((directory / _INDEXES).glob("*")):
        space.indexes[folder.name] = EmbeddingIndex.load(folder)
    return space.train(False)


def read_space_config(directory: Path) -> tuple[JointSpaceConfig, ModelCard]:
    """Config and card of a space's folder."""
    values, card = read_config_file(directory, "joint space")
    if "joint_space" not in values:
        path = directory / "config.yaml"
        raise ValueError(f"{path} describes no joint space; a model with an LLM is loaded by OmniModel.load")
    return from_dict(JointSpaceConfig, values["joint_space"], "joint_space"), card


def is_space(directory: str | Path) -> bool:
    """Whether a folder holds a joint space, and not a model with an LLM."""
    recover_directory(Path(directory))
    return (Path(directory) / "config.yaml").is_file() and "joint_space" in read_config_file(Path(directory), "folder")[
        0
    ]
