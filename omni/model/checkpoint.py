"""Model folders: only what was trained, how to build the rest again, and a model card.

`adapter.safetensors` (adapters, and what else was trained: encoders, unfrozen weights), `config.yaml`, `README.md`,
`lora/` in PEFT's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from omni.config import LoRAConfig, ModalityConfig, ModelConfig, from_dict, to_dict
from omni.llm.language_model import SHARED_LORA, LanguageModel
from omni.model.card import ModelCard, render_card
from omni.runtime.files import recover_directory, refuse_foreign, replace_directory
from omni.runtime.parameter_names import plain_name

if TYPE_CHECKING:
    from omni.model.encoder_stack import EncoderStack
    from omni.model.omni_model import OmniModel

FORMAT_VERSION = 1
ADAPTER_FILE = "adapter.safetensors"
_FILES = {ADAPTER_FILE, "config.yaml", "README.md", "lora"}


def write_model(model: OmniModel, directory: Path, card: ModelCard | None = None) -> None:
    """Write the files of a model into an existing folder; `save_model` does it atomically."""
    if card is not None:
        model.card = card
    config = model.config
    save_file(trained_state(model), str(directory / ADAPTER_FILE))
    values = {
        "format_version": FORMAT_VERSION,
        "llm_fingerprint": model.llm.base_fingerprint,
        "model": to_dict(config),
        "loras": model.llm.lora_names(),
        "unfrozen": sorted(model.unfrozen),
        "card": to_dict(model.card),
    }
    (directory / "config.yaml").write_text(
        yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    (directory / "README.md").write_text(render_card(model), encoding="utf-8")
    if model.llm.has_lora:
        model.llm.save_lora(directory / "lora")


def save_model(model: OmniModel, directory: Path, card: ModelCard | None = None) -> None:
    """Write a model folder in one atomic step: after a crash the old folder or the new one is there, whole.

    Raises:
        ValueError: the folder holds something else than a model, which replacing it would delete.
    """
    refuse_foreign(directory, _FILES)
    with replace_directory(directory) as temporary:
        write_model(model, temporary, card)


def load_model(directory: Path, *, device: str | torch.device | None, dtype: str | None) -> OmniModel:
    """Load a model folder.

    Raises:
        FileNotFoundError: no model there.
        ValueError: keys that do not fit, or an LLM other than the one it was trained with.
    """
    from omni.model.omni_model import build_model  # the two modules need each other: a model saves itself

    config, card, fingerprint = read_config(directory)
    llm = _llm_config(config, dtype)
    model = build_model(replace(config, llm=replace(llm, lora=None)), device, card)
    _check_llm(model.llm, fingerprint, directory)
    model.unfrozen = read_unfrozen(directory)
    load_trained_state(model, directory)
    if config.llm.lora is not None:
        _load_loras(model, directory, config.llm.lora)
    return model.train(False)


def combine_models(
    directories: Mapping[str, Path], *, system: str | None, device: str | torch.device | None, dtype: str | None
) -> OmniModel:
    """One model of modalities from several folders, all trained over the same LLM.

    Raises:
        ValueError: different LLMs or system messages, or a folder that does not have the modality.
    """
    from omni.model.omni_model import build_model

    if not directories:
        raise ValueError("combine needs at least one modality and its folder")
    read = {name: (folder, *read_config(folder)) for name, folder in directories.items()}
    _check_same_llm(read)
    unfrozen = {folder: read_unfrozen(folder) for folder in directories.values()}
    _check_frozen_llm(unfrozen)
    systems = {config.system for _, config, _, _ in read.values()}
    if system is None and len(systems) > 1:
        raise ValueError(f"the models were trained with different system messages {systems}: choose one by system=...")
    first_folder, first, _, fingerprint = next(iter(read.values()))
    if any(config.prompt != first.prompt for _, config, _, _ in read.values()):
        raise ValueError(
            "the models were trained with different layouts of conversations (model.prompt in their config.yaml): "
            f"{ {name: config.prompt for name, (_, config, _, _) in read.items()} }"
        )
    modalities = _modalities_of_folders(read)
    llm = replace(_llm_config(first, dtype), lora=None)
    card = ModelCard.merge([card for _, _, card, _ in read.values()])
    combined = ModelConfig(llm, modalities, system if system is not None else systems.pop(), first.prompt)
    model = build_model(combined, device, card)
    _check_llm(model.llm, fingerprint, first_folder)
    for name, (folder, config, _, _) in read.items():
        model.unfrozen |= {weight for weight in unfrozen[folder] if weight.startswith(("llm.", f"modalities.{name}."))}
        load_trained_state(model, folder, only=name)
        if config.llm.lora is not None:
            own = folder / "lora" / name
            if config.llm.lora.mode == "shared" or own.is_dir():
                lora = replace(config.llm.lora, mode="per_modality")
                model.llm.load_lora(name, own if own.is_dir() else folder / "lora", lora)
    return model.train(False)


def read_config(directory: Path) -> tuple[ModelConfig, ModelCard, str]:
    """Config, card and LLM fingerprint of a model folder."""
    values, card = read_config_file(directory, "model folder")
    if "joint_space" in values:
        raise ValueError(
            f"{directory / 'config.yaml'} describes a joint space, which has no LLM: load it with JointSpace.load"
        )
    return from_dict(ModelConfig, values.get("model"), "model"), card, str(values.get("llm_fingerprint"))


def read_config_file(directory: Path, kind: str) -> tuple[dict[str, Any], ModelCard]:
    """The values of a folder's `config.yaml`, and the card among them; `kind` is what errors call the folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another version of the format.
    """
    recover_directory(directory)
    path = directory / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"{directory} is no {kind}: it has no config.yaml. Give a folder that training wrote, such as RUN/best"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
        found = values.get("format_version") if isinstance(values, dict) else None
        raise ValueError(f"{path}: format_version is {found!r}; this version of omni reads {FORMAT_VERSION}")
    return values, from_dict(ModelCard, values.get("card", {}), "card")


def load_trained_state(
    model: EncoderStack,
    directory: Path,
    only: str | None = None,
    file_name: str = ADAPTER_FILE,
    ignored: tuple[str, ...] = (),
) -> None:
    """Load the trained weights of a folder strictly into `model`; with `only`, those of one modality and of the LLM.

    `ignored`: beginnings of names in the file that have no place in the model.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: a damaged file, or missing, unexpected or misshaped keys, all named.
    """
    path = directory / file_name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the model folder is not whole")
    try:
        state = load_file(str(path))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    state = {name: value for name, value in state.items() if not name.startswith(ignored)}
    own = {plain_name(name): value for name, value in model.state_dict().items()}
    names = model.trained_names()
    unknown = sorted(set(names) - set(own))
    if unknown:
        raise ValueError(f"{directory / 'config.yaml'}: unfrozen names {unknown[:5]}, which this model does not have")
    expected = {name: own[name] for name in names}
    if only is not None:
        prefixes = (f"modalities.{only}.", "llm.")
        state = {name: value for name, value in state.items() if name.startswith(prefixes)}
        expected = {name: value for name, value in expected.items() if name.startswith(prefixes)}
    problems = [f"missing: {name}" for name in sorted(set(expected) - set(state))]
    problems += [f"unexpected: {name}" for name in sorted(set(state) - set(expected))]
    problems += [
        f"shape of {name}: {list(state[name].shape)} in the file, {list(expected[name].shape)} in the model"
        for name in sorted(set(state) & set(expected))
        if state[name].shape != expected[name].shape
    ]
    if problems:
        raise ValueError(f"{path} does not fit the model of its config.yaml:\n  " + "\n  ".join(problems))
    with torch.no_grad():
        for name, value in state.items():
            expected[name].copy_(value)


def trained_state(model: EncoderStack) -> dict[str, Tensor]:
    """Plain name -> copy on the CPU of what a folder of `model` holds."""
    state = {plain_name(name): value for name, value in model.state_dict().items()}
    return {name: state[name].detach().cpu().contiguous().clone() for name in model.trained_names()}


def read_unfrozen(directory: Path) -> set[str]:
    """Plain names of the weights of the LLM and of pretrained encoders that were trained and are in a model folder."""
    return set(yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8")).get("unfrozen") or [])


def _load_loras(model: OmniModel, directory: Path, config: LoRAConfig) -> None:
    names = yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8")).get("loras")
    if not names:
        raise ValueError(f"{directory / 'config.yaml'}: model.llm.lora is set, but `loras` names none")
    for name in names:
        model.llm.load_lora(name, directory / "lora" if name == SHARED_LORA else directory / "lora" / name, config)


def _llm_config(config: ModelConfig, dtype: str | None) -> Any:
    changes = {} if dtype is None else {"dtype": dtype}
    if config.llm.attention == "flash_attention_2" and not torch.cuda.is_available():
        changes["attention"] = "sdpa"  # which computes the same: a folder may come from a machine with GPUs
    return from_dict(type(config.llm), to_dict(config.llm) | changes, "llm") if changes else config.llm


def _modalities_of_folders(
    read: Mapping[str, tuple[Path, ModelConfig, ModelCard, str]],
) -> dict[str, ModalityConfig]:
    """The modalities' configs; only those from one folder go on sharing parts of their adapters."""
    found = {name: config.modalities[name] for name, (_, config, _, _) in read.items()}
    groups: dict[str, list[Path]] = {}
    for name, (folder, _, _, _) in read.items():
        share = found[name].share_adapter
        if share is not None:
            folders = groups.setdefault(share, [])
            if folder.resolve() not in folders:
                folders.append(folder.resolve())
            number = folders.index(folder.resolve())
            found[name] = replace(found[name], share_adapter=f"{share} {number + 1}" if number else share)
    return found


def _check_llm(llm: LanguageModel, fingerprint: str, directory: Path) -> None:
    if llm.base_fingerprint != fingerprint:
        raise ValueError(
            f"{directory} was trained with the LLM of fingerprint {fingerprint}, but {llm.config.name!r} here has "
            f"{llm.base_fingerprint}: adapters work with their own LLM only. Name that one in its config.yaml"
        )


def _check_frozen_llm(unfrozen: Mapping[Path, set[str]]) -> None:
    for folder, names in unfrozen.items():
        changed = sorted(name for name in names if name.startswith("llm."))
        if changed and len(unfrozen) > 1:
            raise ValueError(
                f"{folder} trained weights of the LLM itself, such as {changed[0]}: adapters that were trained over "
                "the LLM as it was cannot be combined with it. Train a LoRA instead, or all modalities in one model"
            )


def _check_same_llm(read: Mapping[str, tuple[Path, ModelConfig, ModelCard, str]]) -> None:
    for name, (folder, config, _, _) in read.items():
        if name not in config.modalities:
            raise ValueError(f"{folder} has no modality {name!r}; it has {sorted(config.modalities)}")
    first_name, (first_folder, first, _, fingerprint) = next(iter(read.items()))
    for name, (folder, config, _, other) in read.items():
        if other != fingerprint:
            raise ValueError(
                f"adapters made for different LLMs cannot be combined: {first_name} ({first_folder}) was trained with "
                f"{first.llm.name!r} ({fingerprint}), {name} ({folder}) with {config.llm.name!r} ({other})"
            )
