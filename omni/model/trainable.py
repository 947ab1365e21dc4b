"""Which weights of a model are trained, and which its folder holds: the one place that knows what their names mean.

| plain name of a weight        | part      | in a folder                                                         |
|-------------------------------|-----------|---------------------------------------------------------------------|
| `modalities.NAME.encoder.*`   | NAME      | where the encoder is made to be trained, or the weight was unfrozen |
| `modalities.NAME.*`           | NAME      | always: adapters, heads                                             |
| `llm.*.lora_*.NAME.*`         | LoRA NAME | always, in PEFT's own files                                         |
| `llm.*`                       | the LLM   | where it was unfrozen                                               |
| directly on the model         | the model | always, such as the scale of a joint space                          |

Plain names (`omni.runtime.parameter_names.plain_name`) are the same with and without LoRA.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from omni.model.encoder_stack import EncoderStack
from omni.runtime.parameter_names import named_weights, plain_name, select

_LORA_MARK = ".lora_"  # in PEFT's names


@dataclass(frozen=True)
class Part:
    """A part of a model that is trained or frozen for itself."""

    kind: Literal["modality", "lora", "llm", "model"]
    name: str = ""  # of the modality or the LoRA

    def __str__(self) -> str:
        return {"modality": self.name, "lora": f"LoRA {self.name}", "llm": "LLM", "model": "model"}[self.kind]


LLM = Part("llm")
_ORDER = ("modality", "lora", "llm", "model")


def part_of(name: str) -> Part:
    """Return the part that the weight with this plain name belongs to."""
    first, *rest = name.split(".")
    if first == "modalities":
        return Part("modality", rest[0])
    if first != "llm":
        return Part("model")
    # PEFT: [layer].lora_A.NAME.weight, [layer].lora_embedding_A.NAME, [layer].lora_magnitude_vector.NAME.weight
    return Part("lora", name.rpartition(_LORA_MARK)[2].split(".")[1]) if _LORA_MARK in name else LLM


def encoder_of(name: str) -> str | None:
    """Return the modality whose encoder the weight with this plain name is in; None = it is in no encoder."""
    parts = name.split(".")
    return parts[1] if parts[0] == "modalities" and parts[2] == "encoder" else None


def trained_part_names(model: EncoderStack) -> list[str]:
    """Return the plain names of the weights and buffers that are trained behind the encoders (adapters or heads)."""
    parts = {name: model.modality(name) for name in model.modalities}
    return [
        f"modalities.{name}.{modality.trained_part_name}.{weight}"
        for name, modality in parts.items()
        for weight in modality.trained_part.state_dict()
    ]


def saved_names(model: EncoderStack) -> list[str]:
    """Return the plain names of all weights and buffers that a folder of the model holds, LoRAs apart; sorted."""
    return sorted([*model.unfrozen, *_always_saved_names(model)])


def saved_weights(model: EncoderStack) -> dict[Part, dict[str, nn.Parameter]]:
    """Return the weights that a folder holds, or that are trained, of each part: plain name -> parameter.

    All modalities are there, also those without such weights; then LoRAs, the LLM, and the model itself.
    """
    found: dict[Part, dict[str, nn.Parameter]] = {Part("modality", name): {} for name in model.modalities}
    saved = {*saved_names(model)}
    for name, weight in named_weights(model).items():
        part = part_of(name)
        if name in saved or part.kind == "lora" or weight.requires_grad:
            found.setdefault(part, {})[name] = weight
    return dict(sorted(found.items(), key=lambda item: _ORDER.index(item[0].kind)))


def freeze(model: EncoderStack, patterns: Sequence[str], key: str = "freeze") -> None:
    """Stop training the weights that `patterns` mean (see `omni.runtime.parameter_names.matches`).

    Raises:
        ValueError: a pattern means nothing that is trained.
    """
    trained = {name: weight for name, weight in named_weights(model).items() if weight.requires_grad}
    for name in select(trained, patterns, key):
        trained[name].requires_grad_(False)


def freeze_all_but(model: EncoderStack, parts: Collection[Part]) -> None:
    """Stop training all weights that are not in `parts`."""
    for name, weight in named_weights(model).items():
        if part_of(name) not in parts:
            weight.requires_grad_(False)


def unfreeze(model: EncoderStack, patterns: Sequence[str], key: str = "unfreeze") -> None:
    """Train the weights that `patterns` mean, wherever they are: a norm of the LLM, the last layers of an encoder.

    Weights that a folder does not hold by default join `model.unfrozen`, so that they are saved with the model.

    Raises:
        ValueError: a pattern means nothing, or means weights that are quantised and so cannot be trained.
    """
    weights = named_weights(model)
    chosen = select(weights, patterns, key)
    quantised = [name for name in chosen if _is_quantised(weights[name])]
    if quantised:
        raise ValueError(
            f"{key}: {len(quantised)} weights are quantised and cannot be trained, such as {quantised[0]}; choose "
            "others, set model.llm.quantization to null, or train a LoRA"
        )
    model.prepare_to_unfreeze(chosen)
    always_saved = {*_always_saved_names(model)}
    first_names = {id(weight): plain_name(name) for name, weight in reversed([*model.named_parameters()])}
    for name in chosen:
        weights[name].requires_grad_(True)
        modality = encoder_of(name)
        if modality is not None:
            model.modality(modality).encoder.unfreeze()
        if name not in always_saved and part_of(name).kind != "lora":
            model.unfrozen.add(first_names[id(weights[name])])


def _always_saved_names(model: EncoderStack) -> list[str]:
    names = [name for name, _ in model.named_parameters(recurse=False)]
    names += trained_part_names(model)
    for name in model.modalities:
        encoder = model.modality(name).encoder
        if encoder.trainable:
            names += [f"modalities.{name}.encoder.{weight}" for weight in encoder.state_dict()]
    return names


def _is_quantised(weight: nn.Parameter) -> bool:
    return not weight.is_floating_point() or type(weight).__module__.startswith("bitsandbytes")
