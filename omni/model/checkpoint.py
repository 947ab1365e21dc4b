"""Model folders: only what was trained, how to build the rest again, and a model card.

`adapter.safetensors` (adapters, and what else was trained: encoders, unfrozen weights), `config.yaml`, `README.md`,
`lora/` in PEFT's format, and `SHA256SUMS`.
"""

import logging
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from omni.config import LLMConfig, LoRAConfig, from_dict, to_dict
from omni.config.trust import opening
from omni.llm.language_model import LanguageModel
from omni.model.building import ModelT, build_from_config
from omni.model.card import ModelCard
from omni.model.card_rendering import render_card
from omni.model.core import ModelCore
from omni.model.folder import CONFIG_FILE, LORA_FOLDER, ModelFolder
from omni.model.modality import admit_modality
from omni.model.trained_state import load_trained_state, trained_state
from omni.runtime.checksums import CHECKSUMS, check_files, warn_if_changed, write_checksums
from omni.runtime.files import refuse_foreign, replace_directory

logger = logging.getLogger(__name__)

ADAPTER_FILE = "adapter.safetensors"
_FILES = {ADAPTER_FILE, CONFIG_FILE, "README.md", LORA_FOLDER, CHECKSUMS}


def write_model(model: ModelCore, directory: Path, card: ModelCard | None = None) -> None:
    """Write the files of a model into an existing folder; `save_model` does it atomically."""
    if card is not None:
        model.card = card
    llm = model.llm
    model.remember_classes(directory)
    folder = ModelFolder(
        directory,
        model.config,
        model.card,
        llm.identity,
        llm.text_identity,
        frozenset(model.unfrozen),
        tuple(llm.lora_names()),
    )
    save_file(trained_state(model), str(directory / ADAPTER_FILE))
    folder.write()
    (directory / "README.md").write_text(render_card(model), encoding="utf-8")
    if llm.has_lora:
        llm.save_lora(folder.lora_path)


def save_model(model: ModelCore, directory: Path, card: ModelCard | None = None) -> None:
    """Write a model folder in one atomic step: after a crash the old folder or the new one is there, whole.

    Raises:
        ValueError: the folder holds something else than a model, which replacing it would delete.
    """
    refuse_foreign(directory, _FILES)
    with replace_directory(directory) as temporary:
        write_model(model, temporary, card)
        write_checksums(temporary)


def load_model(
    model_class: type[ModelT],
    directory: Path,
    *,
    device: str | torch.device | None,
    dtype: str | None,
    trust_code: bool = False,
) -> ModelT:
    """Load a model folder as a `model_class`.

    trust_code: whether classes that the folder names may be from outside of omni; see `omni.config.trust`.

    Raises:
        FileNotFoundError: no model there.
        ValueError: a class that may not run, keys that do not fit, weights that are not those that were saved, or an
            LLM other than the one it was trained with.
    """
    folder = ModelFolder.read(directory)
    config = folder.config
    llm = llm_config_here(config.llm, dtype)
    without_lora = replace(config, llm=replace(llm, lora=None))
    with opening(directory / CONFIG_FILE, trust_code):
        for name, modality in config.modalities.items():
            admit_modality(modality, name)
        model = build_from_config(model_class, without_lora, device, folder.card)
    check_llm(model.llm, folder)
    model.unfrozen = {*folder.unfrozen}
    load_trained_state(model, directory / ADAPTER_FILE)
    if config.llm.lora is not None:
        _load_loras(model.llm, folder, config.llm.lora)
    check_weights(directory)
    warn_if_changed(directory, CONFIG_FILE)
    return model.train(False)


def check_weights(directory: Path) -> None:
    """Raise ValueError if the weights in a model's folder are not those that were saved; old folders cannot tell."""
    check_files(directory, ADAPTER_FILE, LORA_FOLDER)


def llm_config_here(config: LLMConfig, dtype: str | None) -> LLMConfig:
    """Return the config of a folder's LLM with what is to be otherwise on this machine."""
    changes = {} if dtype is None else {"dtype": dtype}
    if config.attention == "flash_attention_2" and not torch.cuda.is_available():
        changes["attention"] = "sdpa"  # which computes the same: a folder may come from a machine with GPUs
    return from_dict(type(config), to_dict(config) | changes, "llm") if changes else config


def check_llm(llm: LanguageModel, folder: ModelFolder) -> None:
    """Raise ValueError unless `llm` is the one that a folder was trained over; warn if it lays texts out otherwise."""
    if not llm.identity.is_same(folder.llm):
        raise ValueError(
            f"{folder.path} was trained with another LLM than {llm.config.name!r} here, or that one was changed since "
            f"(merged, fine-tuned): adapters work with their own LLM only. Name that one in its config.yaml. Trained "
            f"with: {folder.llm}; here: {llm.identity}"
        )
    if folder.llm_text not in (None, llm.text_identity):
        logger.warning(
            "the tokenizer or chat template of %s is not as it was when %s was trained: its answers may be others",
            llm.config.name,
            folder.path,
        )


def _load_loras(llm: LanguageModel, folder: ModelFolder, config: LoRAConfig) -> None:
    if not folder.loras:
        raise ValueError(f"{folder.path / CONFIG_FILE}: model.llm.lora is set, but `loras` names none")
    for name in folder.loras:
        llm.load_lora(name, folder.path_of_lora(name), config)
