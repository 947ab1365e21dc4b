"""What of a model is trained: adapters and LoRA, unless names are frozen or others unfrozen."""

from collections.abc import Sequence

from torch import nn

from omni.model.encoder_stack import EncoderStack
from omni.model.omni_model import OmniModel
from omni.runtime.parameter_names import named_weights, plain_name, select


def freeze(model: EncoderStack, patterns: Sequence[str], key: str = "freeze") -> None:
    """Stop training the weights that `patterns` mean (see `omni.runtime.parameter_names.matches`).

    Raises:
        ValueError: a pattern that means nothing that is trained.
    """
    trained = {name: weight for name, weight in named_weights(model).items() if weight.requires_grad}
    for name in select(trained, patterns, key):
        trained[name].requires_grad_(False)


def unfreeze(model: EncoderStack, patterns: Sequence[str], key: str = "unfreeze") -> None:
    """Train the weights that `patterns` mean, wherever they are: a norm of the LLM, the last layers of an encoder.

    What is trained beside adapters and LoRA is saved with the model, see `OmniModel.unfrozen`.

    Raises:
        ValueError: a pattern that means nothing, or weights that are quantised and so cannot be trained.
    """
    weights = named_weights(model)
    chosen = select(weights, patterns, key)
    quantised = [name for name in chosen if _is_quantised(weights[name])]
    if quantised:
        raise ValueError(
            f"{key}: {len(quantised)} weights are quantised and cannot be trained, such as {quantised[0]}; choose "
            "others, set model.llm.quantization to null, or train a LoRA"
        )
    if isinstance(model, OmniModel) and any(name.startswith("llm.") for name in chosen):
        _ = model.llm.base_fingerprint  # that of the LLM as it was published, so taken before it changes
    first_names = {id(weight): plain_name(name) for name, weight in reversed([*model.named_parameters()])}
    for name in chosen:
        weights[name].requires_grad_(True)
        if ".encoder." in name and name.startswith("modalities."):
            model.modality(name.split(".")[1]).encoder.unfreeze()
        if not is_saved_by_default(model, name):
            model.unfrozen.add(first_names[id(weights[name])])


def is_saved_by_default(model: EncoderStack, name: str) -> bool:
    """Whether the weight is one of an adapter, of a LoRA, or of an encoder that was made to be trained."""
    if name.startswith("modalities."):
        _, modality, part, *_ = name.split(".")
        return part == model.modality(modality).trained_part_name or model.modality(modality).encoder.trainable
    return ".lora_" in name or name == "log_logit_scale"


def _is_quantised(weight: nn.Parameter) -> bool:
    return not weight.is_floating_point() or type(weight).__module__.startswith("bitsandbytes")
