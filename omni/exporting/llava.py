"""Write a model of pictures as LLaVA (Liu et al. 2023, arXiv 2310.03744), which transformers and vLLM load as it is.

LLaVA is a vision tower, two Linear layers with GELU between them, and an LLM. What is more than that is refused.
Shapes: L tokens, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AddedToken,
    AutoProcessor,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from omni.encoders.towers import VisionTower
from omni.exporting.card import render_export_card
from omni.exporting.chat_template import processor_template
from omni.exporting.comparison import check_logits
from omni.exporting.folder import exporting
from omni.exporting.merged_llm import write_generation_config
from omni.exporting.merging import check_mergeable, choose_loras, merge_loras
from omni.model.core import ModelCore
from omni.runtime.quiet import quiet_loading

_IMAGE_TOKEN = "<image>"


@dataclass(frozen=True)
class LlavaExport:
    """What was written: the folder, and the difference of its logits from the model's, as a share of their spread."""

    path: Path
    error: float


def export_llava(model: ModelCore, output: Path) -> LlavaExport:
    """Write `model` as a folder that `AutoModelForImageTextToText` and `AutoProcessor` load, and check its logits.

    The weights of the LLM of `model` change: it is not to be used any more.

    Raises:
        ValueError: the model is no LLaVA, and what of it is not; `check_mergeable`; or what was written does not read
            conversations, or compute, as the model does.
    """
    name, tower, layers = _parts(model)
    check_mergeable(model, None)
    llm = model.llm
    dtype = llm.dtype
    conversations = _probes(name)
    expected = [_expected(model, one) for one in conversations]
    ends, defaults = model.end_token_ids, llm.generation_defaults
    card = render_export_card(model, "transformers", f"{name} for {llm.config.name}", _about(model, name))
    llm.activate_lora(choose_loras(model, None))
    processor = _processor(model, name, tower)
    image_token_id = cast(int, processor.image_token_id)
    plain = merge_loras(llm, choose_loras(model, None))
    exported = _assemble(plain, tower, layers, image_token_id, dtype)
    defaults.suppress_tokens = [*(defaults.suppress_tokens or []), image_token_id]  # it is no word of the LLM's
    with exporting(output) as temporary:
        with quiet_loading():
            exported.generation_config = GenerationConfig()  # transformers refuses to write some that it reads
            exported.save_pretrained(temporary)
            processor.save_pretrained(temporary)
        write_generation_config(temporary, defaults, ends)
        error = _check(temporary, name, conversations, expected, dtype)
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return LlavaExport(output, error)


def _parts(model: ModelCore) -> tuple[str, VisionTower, list[nn.Linear]]:
    """The modality, its vision tower and its projector, if the model has nothing else."""
    if len(model.modalities) != 1:
        raise ValueError(
            f"modalities: LLaVA has one, and the model has {', '.join(model.modalities) or 'none'}; export a model of "
            "each of them, or serve all with omni (docs/deployment.md)"
        )
    if model.prompt is not None:
        raise ValueError("prompt: a layout of its own, which no chat template can say; serve the model with omni")
    (name,) = model.modalities
    modality = model.modality(name)
    try:
        tower = modality.encoder.vision_tower()
    except ValueError as error:
        raise ValueError(f"modalities.{name}.encoder: {error}; LLaVA needs CLIP, SigLIP or their kin") from error
    if not tower.keeps_prefix and tower.num_prefix > 1:
        raise ValueError(
            f"modalities.{name}.encoder.keep_class_token: false leaves out {tower.num_prefix} positions, and LLaVA one "
            "or none; set it to true"
        )
    dtype = next(tower.network.parameters()).dtype
    if dtype != model.llm.dtype:
        raise ValueError(
            f"modalities.{name}.encoder.dtype: {dtype}, but that of the LLM is {model.llm.dtype}, and a LLaVA has one; "
            "set both alike"
        )
    try:
        layers = modality.adapter.plain_layers()
    except ValueError as error:
        raise ValueError(f"modalities.{name}.adapter: {error}") from error
    sizes = [layer.out_features for layer in layers]
    if sizes != [model.llm.hidden_size] * 2:
        raise ValueError(
            f"modalities.{name}.adapter: its layers give widths {sizes}; LLaVA's projector has two layers of the LLM's "
            f"width, {model.llm.hidden_size}: set num_layers: 2 and hidden_dim: null"
        )
    return name, tower, layers


def _processor(model: ModelCore, name: str, tower: VisionTower) -> LlavaProcessor:
    tokenizer = model.llm.tokenizer
    if _IMAGE_TOKEN in tokenizer.get_vocab():
        raise ValueError(f"model.llm.name: the tokenizer has a token {_IMAGE_TOKEN} of its own, which LLaVA needs")
    tokenizer.add_tokens([AddedToken(_IMAGE_TOKEN, special=True, normalized=False)], special_tokens=True)  # pyright: ignore
    template = processor_template(model, {"image": model.modality(name).cue + _IMAGE_TOKEN})
    settings = cast(Any, tower.network).config
    return LlavaProcessor(
        tower.processor,
        tokenizer,
        patch_size=settings.patch_size,
        vision_feature_select_strategy=_strategy(tower),
        chat_template=template,
        image_token=_IMAGE_TOKEN,
        num_additional_image_tokens=tower.num_prefix,
    )


def _strategy(tower: VisionTower) -> str:
    return "full" if tower.keeps_prefix or not tower.num_prefix else "default"


def _assemble(
    plain: nn.Module, tower: VisionTower, layers: list[nn.Linear], image_token_id: int, dtype: torch.dtype
) -> LlavaForConditionalGeneration:
    """A LLaVA with the weights of the parts."""
    text = cast(Any, plain)
    if text.get_input_embeddings().num_embeddings <= image_token_id:
        with quiet_loading():
            text.resize_token_embeddings(image_token_id + 1, mean_resizing=False)
    config = LlavaConfig(
        vision_config=cast(Any, tower.network).config,
        text_config=text.config,
        image_token_index=image_token_id,
        vision_feature_select_strategy=cast(Any, _strategy(tower)),
        vision_feature_layer=tower.layers[0] if len(tower.layers) == 1 else list(tower.layers),
        multimodal_projector_bias=layers[0].bias is not None,
        tie_word_embeddings=bool(text.config.tie_word_embeddings),
    )
    with torch.device("meta"):
        exported = LlavaForConditionalGeneration(config)
    state = {f"model.vision_tower.{key}": value for key, value in tower.network.state_dict().items()}
    for number, layer in enumerate(layers, 1):
        state |= {
            f"model.multi_modal_projector.linear_{number}.{key}": value for key, value in layer.state_dict().items()
        }
    for key, value in text.state_dict().items():
        state[key.replace("model.", "model.language_model.", 1) if key.startswith("model.") else key] = value
    problems = exported.load_state_dict(
        {key: value.to(dtype) for key, value in state.items()}, strict=False, assign=True
    )
    missing = [key for key in problems.missing_keys if "position_ids" not in key]
    if missing or problems.unexpected_keys:
        raise ValueError(
            f"model.llm: the parts of {type(plain).__name__} and {type(tower.network).__name__} are not those that "
            f"LLaVA has: missing {missing[:3]}, unexpected {problems.unexpected_keys[:3]}; serve the model with omni"
        )
    exported.tie_weights()
    return exported.eval()


# --- the check ---


def _probes(name: str) -> list[list[dict[str, Any]]]:
    """Conversations with one and several pictures, in several turns, with text before, between and after them."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    pictures = [{"type": name, "data": one} for one in pixels]

    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    first = {"role": "user", "content": [pictures[0], text("What is this?")]}
    answer = {"role": "assistant", "content": [text("A frog.")]}
    second = {"role": "user", "content": [text("And here:"), pictures[1], pictures[2], text("Which is\nolder?")]}
    plain = [{"role": "system", "content": [text("Be brief.")]}, {"role": "user", "content": [text("Hello")]}]
    return [[first], [first, answer, second], plain]


@torch.no_grad()
def _expected(model: ModelCore, conversation: list[dict[str, Any]]) -> tuple[int, Tensor]:
    """The number of tokens of a conversation, and the logits after the last one: [1, V]."""
    (embedded,) = model.embed_examples([model.prepare(conversation)])
    logits = model.llm(embedded.embeds[None], 1, use_cache=False).logits[0, -1:]
    return len(embedded.labels), logits.float().cpu()


@torch.no_grad()
def _check(
    folder: Path,
    name: str,
    conversations: list[list[dict[str, Any]]],
    expected: list[tuple[int, Tensor]],
    dtype: torch.dtype,
) -> float:
    """Compare what plain transformers makes of the folder with the model."""
    with quiet_loading():
        loaded = LlavaForConditionalGeneration.from_pretrained(folder, dtype="auto")
        processor: Any = AutoProcessor.from_pretrained(folder, backend="pil")
    errors = []
    for conversation, (length, logits) in zip(conversations, expected, strict=True):
        messages = [{**one, "content": [_as_image(part, name) for part in one["content"]]} for one in conversation]
        inputs = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        if inputs["input_ids"].shape[1] != length:
            raise ValueError(
                f"model.llm: its tokenizer or chat template reads a conversation as {inputs['input_ids'].shape[1]} "
                f"tokens in a processor of transformers, and as {length} in omni; serve the model with omni"
            )
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        found = loaded(**inputs).logits[0, -1:, : logits.shape[1]].float()
        what = (
            f"modalities.{name}.encoder.layers, or the LLM (another layer of the encoder, such as -2, is LLaVA's way)"
        )
        errors.append(check_logits(found, logits, dtype, what))
    return max(errors)


def _as_image(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"type": "image", "image": part["data"]} if part["type"] == name else dict(part)


def _about(model: ModelCore, name: str) -> list[str]:
    lora = model.llm.config.lora
    about = [
        "Written by omni as a LLaVA: `AutoModelForImageTextToText.from_pretrained` and `AutoProcessor.from_pretrained` "
        "load it, and no code comes with it.",
        f'Give media of the modality {name} as parts `{{"type": "image", ...}}` of the messages of '
        "`processor.apply_chat_template`; cues and line breaks are in its chat template. Answers are the model's for "
        'RGB pictures prepared by the processor\'s PIL backend (`AutoProcessor.from_pretrained(..., backend="pil")`); '
        "omni turns pictures upright and lays transparent ones on white before that.",
        "The token <image> in a text stands for a picture here; omni takes it for text.",
    ]
    if lora is not None and lora.mode == "per_modality":
        about.append("The LoRA is in the weights; in conversations without any medium, omni leaves it off.")
    return about
