"""LoRA on the frozen LLM, through PEFT. Imported only where a LoRA is used: PEFT takes seconds to import."""

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import safetensors
from torch import Tensor, nn

from omni.config import LoRAConfig
from omni.config.other_names import hint_at
from omni.runtime.quiet import quiet_loading

with quiet_loading():
    from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
    from peft.tuners.lora import LoraLayer


# Arguments of LoraConfig that LoRAConfig has under a name of its own, and those that would break a promise.
_OWN_KEYS = {
    "r": "r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "target_modules",
    "use_dora": "use_dora",
    "use_rslora": "use_rslora",
}
_REFUSED = {
    "modules_to_save": "name the modules in train.unfreeze, which trains and saves them",
    "trainable_token_indices": "name the embedding in train.unfreeze",
    "layer_replication": "it makes another LLM; save that one as a folder and name it in model.llm.name",
    "use_qalora": "it needs another kind of quantised LLM",
    "alora_invocation_tokens": "it needs token ids, but media tokens have none",
}
_SET_BY_PEFT = {"task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"}
_SET_BY_PEFT |= {"inference_mode", "megatron_config", "megatron_core", "runtime_config"}
# The others (pissa, olora, corda, loftq) also change the frozen weights, which are never saved, or need data (eva).
_INITIALISATIONS = (True, False, "gaussian", "orthogonal")


def lora_options(config: LoRAConfig) -> LoraConfig:
    """The configuration in PEFT's own form.

    Raises:
        ValueError: an option that PEFT's LoraConfig does not have, or whose value it or we refuse.
    """
    options = config.options
    allowed = {item.name for item in dataclasses.fields(LoraConfig)} - _SET_BY_PEFT - set(_OWN_KEYS) - set(_REFUSED)
    for name in options:
        key = f"model.llm.lora.options.{name}"
        if name in _OWN_KEYS:
            raise ValueError(f"{key}: set it as model.llm.lora.{_OWN_KEYS[name]}")
        if name in _REFUSED:
            raise ValueError(f"{key} cannot be used: {_REFUSED[name]}")
        if name not in allowed:
            raise ValueError(f"{key}: no argument of peft.LoraConfig; {hint_at(name, allowed)}")
    initialisation = options.get("init_lora_weights", True)
    if initialisation not in _INITIALISATIONS:
        raise ValueError(
            f"model.llm.lora.options.init_lora_weights: {initialisation!r} also changes the frozen weights, which are "
            f"never saved, or needs data. Allowed: {list(_INITIALISATIONS)}"
        )
    if options.get("bias", "none") != "none" and config.mode != "shared":
        raise ValueError(
            "model.llm.lora.options.bias: biases belong to the LLM, so they need model.llm.lora.mode shared"
        )
    try:
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=config.r,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=config.target_modules,
            use_dora=config.use_dora,
            use_rslora=config.use_rslora,
            **options,
        )
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"model.llm.lora: PEFT refuses it: {error}") from error


def add_lora(model: nn.Module, config: LoRAConfig, names: Collection[str]) -> nn.Module:
    """The model with one new trainable LoRA for each of `names`."""
    options = lora_options(config)
    before = _trained_lora_weights(model)
    try:
        with quiet_loading():
            for name in names:
                if isinstance(model, PeftModel):
                    model.add_adapter(name, options)
                else:
                    model = get_peft_model(cast(Any, model), options, adapter_name=name)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"model.llm.lora: PEFT refuses it: {error}") from error
    _train_lora_weights(model, before, names)
    return model


def load_lora(model: nn.Module, name: str, folder: Path) -> nn.Module:
    """The model with the LoRA of `folder` under `name`.

    Raises:
        FileNotFoundError: no LoRA there.
        ValueError: its files are damaged, its weights are not those that this LLM's LoRA has, or PEFT would import
            something for it.
    """
    weights = folder / "adapter_model.safetensors"
    for file in (folder / "adapter_config.json", weights):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing, but the config.yaml says that there is a LoRA")
    _check_adapter_config(folder / "adapter_config.json")
    before = _trained_lora_weights(model)
    try:
        with safetensors.safe_open(str(weights), framework="pt") as file:
            found = set(file.keys())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{weights} is damaged: {error}") from error
    try:
        with quiet_loading():
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), adapter_name=name, is_trainable=True)
            else:
                model = PeftModel.from_pretrained(cast(Any, model), str(folder), adapter_name=name, is_trainable=True)
    except RuntimeError as error:  # PEFT's error for weights of another shape
        raise ValueError(f"{weights} does not fit the LLM: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # PEFT's errors for a config that is none
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{folder / 'adapter_config.json'} is damaged, or of another version of PEFT: {reason}"
        ) from error
    expected = set(get_peft_model_state_dict(cast(Any, model), adapter_name=name))  # PEFT lets missing keys pass
    if expected != found:
        raise ValueError(
            f"{weights} does not fit the LLM: missing {sorted(expected - found)}, unexpected {sorted(found - expected)}"
        )
    _train_lora_weights(model, before, [name])
    return model


def _check_adapter_config(file: Path) -> None:
    """Refuse what PEFT would do besides reading a LoRA: other kinds of adapters, and modules that it would import."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(values, dict) or values.get("peft_type") != "LORA":
        raise ValueError(f"{file} describes no LoRA; omni writes no other adapters of PEFT")
    imports = [name for name in ("megatron_config", "auto_mapping") if values.get(name)]
    if imports:
        raise ValueError(f"{file}: {imports[0]} names modules to import, which is not done for a LoRA; take it out")


def save_lora(model: nn.Module, folder: Path, llm_name: str) -> None:
    """Write every LoRA in PEFT's own format, one subfolder for each that is not the shared one."""
    cast(PeftModel, model).save_pretrained(str(folder))
    for file in sorted(folder.rglob("README.md")):
        file.unlink()  # PEFT's empty card; the model has its own
    for file in sorted(folder.rglob("adapter_config.json")):
        values = json.loads(file.read_text())
        values["base_model_name_or_path"] = llm_name
        if isinstance(values.get("target_modules"), list):
            values["target_modules"] = sorted(values["target_modules"])  # PEFT writes a set, in no fixed order
        file.write_text(json.dumps(values, indent=2, sort_keys=True))


def lora_names(model: nn.Module) -> list[str]:
    """Names of the LoRAs of a model."""
    return sorted(cast(PeftModel, model).peft_config)


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """Every weight that the LoRAs save, by name of the LoRA and PEFT's name of the weight."""
    return {
        f"lora.{name}.{key}": value
        for name in lora_names(model)
        for key, value in get_peft_model_state_dict(cast(Any, model), adapter_name=name).items()
    }


def activate_lora(model: nn.Module, names: Collection[str]) -> None:
    """Switch on exactly the LoRAs `names` (their updates add up); which of them are trained stays as it is."""
    before = _trained_lora_weights(model)
    for layer in _lora_layers(model):
        layer.set_adapter(sorted(names))
    _train_lora_weights(model, before, [])  # PEFT trains what it switches on, and freezes the rest


def set_dropout(model: nn.Module, training: bool) -> None:
    """Switch the dropout of all LoRAs that are trained on or off."""
    for layer in cast(list[nn.Module], _lora_layers(model)):
        weights = [(name, weight) for name, weight in layer.named_parameters() if name.startswith("lora_")]
        trained = {_lora_of(name) for name, weight in weights if weight.requires_grad}
        layer.training = training and bool(trained)  # what DoRA goes by; the layers below it are not touched
        for name, dropout in cast(nn.ModuleDict, layer.lora_dropout).items():
            dropout.train(training and name in trained)


def _trained_lora_weights(model: nn.Module) -> set[str]:
    return {name for name, weight in model.named_parameters() if ".lora_" in name and weight.requires_grad}


def _train_lora_weights(model: nn.Module, trained: Collection[str], names: Collection[str]) -> None:
    """Train exactly the LoRA weights `trained` and all those of the LoRAs `names`."""
    for name, weight in model.named_parameters():
        if ".lora_" in name:
            weight.requires_grad_(name in trained or _lora_of(name) in names)


def _lora_of(name: str) -> str:
    """`...q_proj.lora_A.default.weight` -> `default`."""
    return name.rpartition("lora_")[2].split(".")[1]


def _lora_layers(model: nn.Module) -> list[LoraLayer]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]
