"""Load a causal language model of transformers, in a format of bitsandbytes if asked for."""

import importlib.util
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from omni.config import LLMConfig
from omni.llm.identity import files_identity
from omni.llm.language_model import LanguageModel
from omni.llm.loading_checks import (
    check_architecture,
    check_vocabulary,
    check_weights,
    try_answers,
    try_language_model,
)
from omni.runtime.hub import check_model
from omni.runtime.pretrained import load_config, load_pretrained, load_tokenizer
from omni.runtime.quiet import quiet_about_keys, quiet_loading
from omni.starter import resolve

_HOLDERS = ("instructblip", "blip-2")  # models of transformers with an LLM inside
HELD_PREFIX = "language_model."  # of that LLM's names


def load_llm(config: LLMConfig, device: torch.device | str | None = None) -> LanguageModel:
    """Load the LLM that `config` names, without its LoRA; of a whole BLIP-2 or InstructBLIP its LLM alone.

    Raises:
        FileNotFoundError: a folder or starter asset that is not there.
        ValueError: no causal LM, weights that lack some of it, a tokenizer of another LLM, a format that needs a
            missing package, or quantisation without bitsandbytes.
    """
    name = resolve(config.name)
    _check_extras(config)
    check_model(name, "model.llm.name")
    try:
        found = load_config(name)
    except OSError as error:
        raise FileNotFoundError(
            f"model.llm.name: {config.name!r} is neither a local folder with a transformers model nor an id that a hub "
            f"gives ({str(error).splitlines()[0]})"
        ) from error
    except ValueError as error:
        raise ValueError(f"model.llm.name: {config.name!r} cannot be used: {str(error).splitlines()[0]}") from error
    check_architecture(config.name, found.text_config if found.model_type in _HOLDERS else found)
    options: dict[str, Any] = {"dtype": getattr(torch, config.dtype)}
    if config.attention != "sdpa":  # which transformers takes by itself where the architecture has it; BLOOM has not
        options["attn_implementation"] = config.attention
    if config.quantization is not None:
        options["quantization_config"] = _quantization(config)
        options["device_map"] = {"": device or "cpu"}
    try:
        with quiet_loading():
            if found.model_type in _HOLDERS:
                model = _load_held(name, found.text_config, options)
            else:
                model = _load_causal_lm(name, found, options)
    except ValueError as error:
        if str(error).startswith("model.llm"):
            raise
        raise ValueError(f"model.llm.name: {error}") from error
    if config.quantization is None and device is not None:
        model = cast(nn.Module, model).to(device)
    tokenizer = load_tokenizer(name)
    if not tokenizer.is_fast:
        raise ValueError(f"the tokenizer of {config.name!r} has no fast version, which is needed to place the labels")
    llm = LanguageModel(model, tokenizer, config)
    llm.files_identity = files_identity(name, HELD_PREFIX if found.model_type in _HOLDERS else "")
    _ = llm.identity  # while all of it is here
    check_vocabulary(config.name, tokenizer, llm.num_embeddings)
    try_language_model(llm)
    try_answers(llm)
    return llm


def _load_causal_lm(name: str, config: Any, options: dict[str, Any]) -> nn.Module:
    try:
        model, report = load_pretrained(AutoModelForCausalLM, name, output_loading_info=True, **options)
    except ValueError as error:
        if not str(error).startswith("Unrecognized configuration class"):
            raise
        raise ValueError(
            f"model.llm.name: {name!r} is a model of the kind {config.model_type}, of which transformers has no causal "
            "language model; name an LLM, such as Llama, Qwen or Gemma"
        ) from error
    check_weights(name, model, report["missing_keys"])
    return model


def _load_held(name: str, text_config: Any, options: dict[str, Any]) -> nn.Module:
    """The LLM inside a larger model, whose other parts are not read."""
    with quiet_about_keys():  # those of the other parts are not expected
        held = {"config": text_config, "key_mapping": {rf"^{HELD_PREFIX}": ""}}
        model, report = load_pretrained(AutoModelForCausalLM, name, output_loading_info=True, **held, **options)
    check_weights(name, model, report["missing_keys"])
    return model


def _check_extras(config: LLMConfig) -> None:
    needs = []
    if config.quantization is not None:
        needs.append(("bitsandbytes", "quantization", f"quantization: {config.quantization}"))
    if config.attention == "flash_attention_2":
        needs.append(("flash_attn", "flash", "attention: flash_attention_2"))
    for package, extra, key in needs:
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"model.llm.{key} needs {package}: pip install 'omni[{extra}]'")


def _quantization(config: LLMConfig) -> BitsAndBytesConfig:
    if config.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, config.dtype),
    )
