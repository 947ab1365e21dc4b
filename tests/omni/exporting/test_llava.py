"""A model of pictures is loaded by transformers alone and gives the same greedy answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from omni.__main__ import main
from omni.config import LLMConfig, ModalityConfig, ModelConfig, from_dict
from omni.exporting.llava import export_llava
from omni.model import OmniModel, build_model
from tests.tiny import MLP, RESAMPLER, tiny_model

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SIZES |= {"image_size": 28, "patch_size": 14}
PROJECTOR = {"class_path": "adapters.MLP", "init_args": {"feature_norm": False, "embedding_rms": None}}


def tower(folder: Path, kind: str) -> str:
    torch.manual_seed(5)
    if kind == "clip":
        CLIPVisionModel(CLIPVisionConfig(**SIZES, initializer_range=0.3)).save_pretrained(folder)
        size: dict[str, Any] = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
        CLIPImageProcessorPil(**size).save_pretrained(folder)
    else:
        SiglipVisionModel(SiglipVisionConfig(**SIZES)).save_pretrained(folder)
        SiglipImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(folder)
    return str(folder)


def picture_model(
    llm: Path,
    weights: str,
    adapter: dict[str, Any] = PROJECTOR,
    system: str | None = None,
    lora: dict[str, Any] | None = None,
    **encoder: Any,
) -> OmniModel:
    modality = {
        "encoder": {
            "class_path": "omni.encoders.HuggingFaceEncoder",
            "init_args": {"name": weights, "keep_class_token": False, "layers": -2, **encoder},
        },
        "adapter": adapter,
        "cue": "image: ",
    }
    config = ModelConfig(
        from_dict(LLMConfig, {"name": str(llm), "lora": lora}), {"image": from_dict(ModalityConfig, modality)}, system
    )
    torch.manual_seed(1)
    model = build_model(config)
    for name, weight in model.named_parameters():
        if "lora_B" in name or ".adapter." in name:
            torch.nn.init.normal_(weight, std=0.4)
    return model


def conversations() -> list[list[dict[str, Any]]]:
    pixels = np.random.default_rng(3).integers(0, 256, (6, 40, 52, 3), dtype=np.uint8)

    def turn(role: str, *parts: Any) -> dict[str, Any]:
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "data": part}
            for part in parts
        ]
        return {"role": role, "content": content}

    return [
        *([turn("user", one, "What is this?")] for one in pixels[:3]),
        [
            turn("user", pixels[0], pixels[1], "Which is a frog?\n"),
            turn("assistant", " The first. "),
            turn("user", "and here", pixels[3], "?"),
        ],
        [turn("system", "be brief"), turn("user", "look: ", pixels[4]), turn("assistant", "yes"), turn("user", "why")],
        [turn("user", "no picture")],
    ]


@torch.no_grad()
def answers_by_transformers(folder: Path, asked: list[Any]) -> list[str]:
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    processor: Any = AutoProcessor.from_pretrained(folder, backend="pil")
    found = []
    for messages in asked:
        plain = [
            {
                "role": one["role"],
                "content": [
                    {"type": "image", "image": part["data"]} if part["type"] == "image" else part
                    for part in one["content"]
                ],
            }
            for one in messages
        ]
        inputs = processor.apply_chat_template(
            plain, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        ids = model.generate(**inputs, max_new_tokens=12, do_sample=False)
        found.append(processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    return found


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("clip", {"lora": {"r": 2, "target_modules": ["q_proj", "down_proj"]}}),
        ("clip", {"layers": [1, -2], "keep_class_token": True, "system": 'Say "frog".'}),
        ("siglip", {}),
    ],
)
def test_answers_are_the_models(tiny_llm: Path, tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    model = picture_model(tiny_llm, tower(tmp_path / "tower", kind), **options)
    expected = model.generate(conversations(), max_new_tokens=12)
    assert len({*expected}) > 3
    model.save(tmp_path / "model")
    assert main(["export", "hf", str(tmp_path / "model"), "--output", str(tmp_path / "llava")]) == 0
    assert answers_by_transformers(tmp_path / "llava", conversations()) == expected
    assert "Effective licence" in (tmp_path / "llava" / "README.md").read_text()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda llm, clip: picture_model(llm, clip, MLP), r"adapter: MLP is more.*feature_norm: false.*embedding_rms"),
        (lambda llm, clip: picture_model(llm, clip, RESAMPLER), r"image\.adapter: Resampler is no MLP"),
        (
            lambda llm, clip: picture_model(
                llm, clip, {**PROJECTOR, "init_args": {**PROJECTOR["init_args"], "hidden_dim": 8}}
            ),
            r"image\.adapter: its layers give widths \[8, 32\].*hidden_dim: null",
        ),
        (lambda llm, clip: tiny_model(llm), r"modalities: LLaVA has one, and the model has image, sound"),
        (lambda llm, clip: tiny_model(llm, adapters={"image": MLP}), r"image\.encoder: .*SensorEncoder is no network"),
        (lambda llm, clip: picture_model(llm, clip, dtype="bfloat16"), r"image\.encoder\.dtype: torch\.bfloat16, but"),
    ],
)
def test_what_is_no_llava_is_refused_by_name(
    tiny_llm: Path, tmp_path: Path, make: Callable[[Path, str], OmniModel], message: str
) -> None:
    model = make(tiny_llm, tower(tmp_path / "tower", "clip"))
    with pytest.raises(ValueError, match=message):
        export_llava(model, tmp_path / "llava")
    assert not (tmp_path / "llava").exists()


def test_a_layer_that_llava_takes_before_the_norm_is_refused(tiny_llm: Path, tmp_path: Path) -> None:
    model = picture_model(tiny_llm, tower(tmp_path / "tower", "siglip"), layers=-1)
    with pytest.raises(ValueError, match=r"image\.encoder\.layers.*nothing was written"):
        export_llava(model, tmp_path / "llava")
    assert not (tmp_path / "llava").exists()
