"""Merge the LoRAs of an LLM into its weights, so that what is left is a plain model of transformers."""

from collections.abc import Collection, Sequence
from typing import Any, cast

from torch import nn

from omni.llm.language_model import SHARED_LORA, LanguageModel
from omni.model.core import ModelCore
from omni.runtime.fast_linear import slow_down_linears


def choose_loras(model: ModelCore, modalities: Sequence[str] | None) -> list[str]:
    """Return the names of the LoRAs that conversations with media of `modalities` use; None = of whatever there is.

    Raises:
        ValueError: a modality that the model does not have, or several LoRAs to choose from and no choice.
    """
    for name in modalities or ():
        model.modality(name)
    names = model.llm.lora_names()
    apart = sorted({*names} - {SHARED_LORA})
    if modalities is None and len(apart) > 1:
        raise ValueError(
            f"each of the modalities {', '.join(apart)} has a LoRA of its own, and which of them are on depends on the "
            "media of a conversation; a merged LLM has one set of them for all conversations. Name the set by "
            f"--modalities, such as --modalities {','.join(apart)} for conversations that hold all of them, and export "
            "one folder for each set that you serve"
        )
    chosen = {SHARED_LORA, *(apart if modalities is None else modalities)}
    return [name for name in names if name in chosen]


def check_mergeable(model: ModelCore, modalities: Sequence[str] | None) -> None:
    """Check that the LLM of `model` can be written as a plain one for conversations with media of `modalities`.

    Raises:
        ValueError: it is quantised, or media are seen inside its layers; the text names what, and the way out.
    """
    llm = model.llm
    held = cast(Any, llm.causal_lm).config.to_dict().get("quantization_config")
    if (
        llm.config.quantization is not None
        or held
        or any(not weight.is_floating_point() for weight in llm.parameters())
    ):
        form = llm.config.quantization or (held or {}).get("quant_method", "integers")
        raise ValueError(
            f"model.llm.name: {llm.config.name!r} is quantised here ({form}), and a LoRA cannot be merged into rounded "
            "weights without changing them. Export over the LLM as it was published: in a copy of the model's folder, "
            "set model.llm.quantization in config.yaml to null; the answers are then those of that LLM"
        )
    for name in model.modalities if modalities is None else modalities:
        adapter = model.modality(name).adapter
        if not adapter.in_sequence:
            raise ValueError(
                f"modalities.{name}.adapter: {type(adapter).__name__} puts blocks of its own between the LLM's layers, "
                "which no plain LLM has. Answer with omni itself (python -m demo), train an adapter whose tokens stand "
                "in the sequence (docs/adapters.md), or leave this modality out by --modalities"
            )


def merge_loras(llm: LanguageModel, names: Collection[str]) -> nn.Module:
    """Merge the LoRAs `names` into the weights, drop the others, and return the plain model of transformers.

    The weights of `llm` change: it is not to be used any more.
    """
    model = cast(Any, llm.model)
    if llm.has_lora:
        _untie(llm, names)
        model = model.merge_and_unload(adapter_names=[*names], safe_merge=True) if names else model.unload()
    slow_down_linears(model)
    return model


def _untie(llm: LanguageModel, names: Collection[str]) -> None:
    """Give the output layer weights of its own where a LoRA changes one of the two that share them."""
    from peft.tuners.lora import LoraLayer  # PEFT takes seconds to import

    model = cast(Any, llm.causal_lm)
    found = model.get_input_embeddings(), model.get_output_embeddings()
    if not names or not any(isinstance(module, LoraLayer) for module in found):
        return
    first, last = (cast(Any, module.get_base_layer() if isinstance(module, LoraLayer) else module) for module in found)
    if first is None or last is None or first.weight is not last.weight:
        return
    last.weight = nn.Parameter(last.weight.detach().clone(), requires_grad=False)
    model.config.tie_word_embeddings = False
