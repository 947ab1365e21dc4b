"""One model of modalities that were trained apart over the same LLM (the heart of X-InstructBLIP, arXiv 2311.18799)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from omni.config import ModalityConfig, ModelConfig
from omni.config.trust import opening
from omni.model.building import ModelT, build_from_config
from omni.model.card import ModelCard
from omni.model.checkpoint import ADAPTER_FILE, check_llm, check_weights, llm_config_here
from omni.model.folder import CONFIG_FILE, ModelFolder
from omni.model.modality import admit_modality
from omni.model.trainable import LLM, Part, part_of
from omni.model.trained_state import load_trained_state


def combine_models(
    model_class: type[ModelT],
    directories: Mapping[str, Path],
    *,
    system: str | None,
    device: str | torch.device | None,
    dtype: str | None,
    trust_code: bool = False,
) -> ModelT:
    """Load modalities from several folders into one `model_class`.

    trust_code: whether classes that the folders name may be from outside of omni; see `omni.config.trust`.

    Raises:
        ValueError: a class that may not run, different LLMs, layouts or system messages, a folder that does not have
            the modality, or damaged weights.
    """
    if not directories:
        raise ValueError("combine needs at least one modality and its folder")
    folders = {name: ModelFolder.read(directory) for name, directory in directories.items()}
    _check_same_llm(folders)
    _check_frozen_llm(folders.values())
    first = next(iter(folders.values()))
    prompts = {name: folder.config.prompt for name, folder in folders.items()}
    system = _common_system(folders.values()) if system is None else system
    if any(prompt != first.config.prompt for prompt in prompts.values()):
        raise ValueError(
            "the models were trained with different layouts of conversations (model.prompt in their config.yaml): "
            f"{prompts}"
        )
    llm = replace(llm_config_here(first.config.llm, dtype), lora=None)
    config = ModelConfig(llm, _modalities_of(folders), system, first.config.prompt)
    card = ModelCard.merge([folder.card for folder in folders.values()])
    for name, folder in folders.items():
        with opening(folder.path / CONFIG_FILE, trust_code):
            admit_modality(folder.config.modalities[name], name)
    with opening(" or ".join(str(folder.path / CONFIG_FILE) for folder in folders.values()), trust_code):
        model = build_from_config(model_class, config, device, card)
    check_llm(model.llm, first)
    for name, folder in folders.items():
        parts = (Part("modality", name), LLM)
        model.unfrozen |= {weight for weight in folder.unfrozen if part_of(weight) in parts}
        load_trained_state(model, folder.path / ADAPTER_FILE, only=parts)
        lora = folder.config.llm.lora
        if lora is not None:
            own = folder.lora_path / name
            if lora.mode == "shared" or own.is_dir():
                per_modality = replace(lora, mode="per_modality")
                model.llm.load_lora(name, own if own.is_dir() else folder.lora_path, per_modality)
    for path in {folder.path for folder in folders.values()}:
        check_weights(path)
    return model.train(False)


def _common_system(folders: Collection[ModelFolder]) -> str | None:
    systems = {folder.config.system for folder in folders}
    if len(systems) > 1:
        raise ValueError(f"the models were trained with different system messages {systems}: choose one by system=...")
    return systems.pop()


def _modalities_of(folders: Mapping[str, ModelFolder]) -> dict[str, ModalityConfig]:
    """The modalities' configs; only those from one folder go on sharing parts of their adapters."""
    found = {name: folder.config.modalities[name] for name, folder in folders.items()}
    groups: dict[str, list[Path]] = {}
    for name, folder in folders.items():
        share = found[name].share_adapter
        if share is not None:
            paths = groups.setdefault(share, [])
            if folder.path.resolve() not in paths:
                paths.append(folder.path.resolve())
            number = paths.index(folder.path.resolve())
            found[name] = replace(found[name], share_adapter=f"{share} {number + 1}" if number else share)
    return found


def _check_frozen_llm(folders: Collection[ModelFolder]) -> None:
    several = len({folder.path for folder in folders}) > 1
    for folder in folders:
        changed = sorted(name for name in folder.unfrozen if part_of(name) == LLM)
        if changed and several:
            raise ValueError(
                f"{folder.path} trained weights of the LLM itself, such as {changed[0]}: adapters that were trained "
                "over the LLM as it was cannot be combined with it. Train a LoRA instead, or all modalities in one "
                "model"
            )


def _check_same_llm(folders: Mapping[str, ModelFolder]) -> None:
    for name, folder in folders.items():
        if name not in folder.config.modalities:
            raise ValueError(f"{folder.path} has no modality {name!r}; it has {sorted(folder.config.modalities)}")
    first_name, first = next(iter(folders.items()))
    for name, folder in folders.items():
        if not folder.llm.is_same(first.llm):
            raise ValueError(
                f"adapters made for different LLMs cannot be combined: {first_name} ({first.path}) was trained with "
                f"{first.config.llm.name!r} ({first.llm}), {name} ({folder.path}) with "
                f"{folder.config.llm.name!r} ({folder.llm})"
            )
