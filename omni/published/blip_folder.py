"""BLIP-2 and InstructBLIP as transformers saves them: a folder with vision model, Q-Former and LLM."""

from collections.abc import Mapping
from typing import Any

from omni.config import PromptConfig
from omni.published.assembly import Part, Source
from omni.published.files import PublishedFile
from omni.published.qformers import BERT_BASE, PublishedQFormer

_COMMANDS = {"instructblip": "instructblip", "blip-2": "blip2"}
_ENCODER_DECODERS = ("t5", "mt5", "flan-t5")
_TOKENIZER = "qformer_tokenizer"  # folder in the folder, with InstructBLIP's tokenizer of instructions
# Arguments of QFormer -> settings of `qformer_config`; the defaults are those of BERT-base.
_STRUCTURE = {
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "cross_attention_frequency": "cross_attention_frequency",
    "layer_norm_eps": "layer_norm_eps",
}
_NORM_EPSILON = 1e-6  # the default of transformers' vision models


def text_config_of(folder: PublishedFile) -> Mapping[str, Any]:
    """Return the settings of the folder's LLM; OPT is transformers' default."""
    return {"model_type": "opt"} | dict(folder.config.get("text_config") or {})


def describe_folder(
    folder: PublishedFile,
    name: str,
    prompt: PromptConfig | None,
    *,
    model_type: str,
    reads_instruction: bool,
    licence: str,
) -> Source:
    """Describe the model of one folder.

    Raises:
        ValueError: it is another model, or one for an LLM that is not causal.
    """
    given = folder.config["model_type"]
    if given != model_type:
        raise ValueError(f"{folder.path} is a {given!r}, no {name}: python -m omni import {_COMMANDS[given]}")
    llm_type = text_config_of(folder)["model_type"]
    if llm_type in _ENCODER_DECODERS:
        raise ValueError(f"{folder.path} was made for Flan-T5, an encoder-decoder; only causal LLMs are supported")
    if prompt is None:
        raise ValueError(f"{folder.path} was made for a {llm_type!r}, of which no {name} is known")
    qformer = folder.config.get("qformer_config") or {}
    vision = folder.config.get("vision_config") or {}
    if qformer.get("use_qformer_text_input", False):
        raise ValueError(f"{folder.path}: qformer_config.use_qformer_text_input is true, which no {name} has")
    if qformer.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"{folder.path}: qformer_config.hidden_act is {qformer['hidden_act']!r}; only gelu is known")
    structure = BERT_BASE | {ours: qformer[theirs] for ours, theirs in _STRUCTURE.items() if theirs in qformer}
    structure["feature_norm_eps"] = vision.get("layer_norm_eps", _NORM_EPSILON)
    tokenizer = folder.path / _TOKENIZER
    part = Part(
        PublishedQFormer(folder, structure=structure),
        {"class_path": "omni.encoders.EvaClipEncoder", "init_args": _encoder_arguments(folder, vision)},
        "the folder",
        reads_instruction=reads_instruction,
        licence=licence,
    )
    return Source(
        name,
        {"image": part},
        [folder],
        prompt,
        llm=str(folder.path),
        instruction_tokenizer=str(tokenizer) if tokenizer.is_dir() else None,
    )


def _encoder_arguments(folder: PublishedFile, vision: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the encoder: only the side of the pictures, as it reads its sizes from the folder."""
    arguments: dict[str, Any] = {"weights": str(folder.path)}
    if "image_size" in vision:
        arguments["image_size"] = vision["image_size"]
    return arguments
