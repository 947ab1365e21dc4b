"""LoRA on the frozen LLM, through PEFT. Imported only where a LoRA is used: PEFT takes seconds to import."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import safetensors
from torch import nn

from omni.config import LoRAConfig
from omni.quiet import quiet_loading

with quiet_loading():
    from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
    from peft.tuners.lora import LoraLayer


def add_lora(model: nn.Module, config: LoRAConfig, names: Collection[str]) -> nn.Module:
    """The model with one new trainable LoRA for each of `names`."""
    options = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
        use_dora=config.use_dora,
        use_rslora=config.use_rslora,
    )
    with quiet_loading():
        for name in names:
            if isinstance(model, PeftModel):
                model.add_adapter(name, options)
            else:
                model = get_peft_model(cast(Any, model), options, adapter_name=name)
    return model


def load_lora(model: nn.Module, name: str, folder: Path) -> nn.Module:
    """The model with the LoRA of `folder` under `name`.

    Raises:
        FileNotFoundError: no LoRA there.
        ValueError: its weights are damaged, or are not those that this LLM's LoRA has.
    """
    weights = folder / "adapter_model.safetensors"
    for file in (folder / "adapter_config.json", weights):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing, but the config.yaml says that there is a LoRA")
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
    expected = set(get_peft_model_state_dict(cast(Any, model), adapter_name=name))  # PEFT lets missing keys pass
    if expected != found:
        raise ValueError(
            f"{weights} does not fit the LLM: missing {sorted(expected - found)}, unexpected {sorted(found - expected)}"
        )
    return model


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


def activate_lora(model: nn.Module, names: Collection[str]) -> None:
    """Switch on exactly the LoRAs `names` (their updates add up); all stay trainable."""
    for layer in _lora_layers(model):
        layer.set_adapter(sorted(names))
    # PEFT freezes what it switches off; here which LoRA is trained does not depend on the batch at hand
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(True)


def set_dropout(model: nn.Module, training: bool) -> None:
    """Switch the dropout of all LoRAs on or off."""
    for layer in _lora_layers(model):
        layer.lora_dropout.train(training)


def _lora_layers(model: nn.Module) -> list[LoraLayer]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]
