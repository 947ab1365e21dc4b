"""Tiny random models of every family that `HuggingFaceEncoder` knows, with their processors, and media for them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers as hf
from transformers import PreTrainedModel

from omni.encoders.base import Encoder
from omni.media.item import Media

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
VISION = SMALL | {"image_size": 32, "patch_size": 8}
TEXT = SMALL | {"num_hidden_layers": 1, "vocab_size": 50}
SQUARE = {"height": 32, "width": 32}
CONVOLUTIONS = {
    "conv_dim": [16, 16],
    "conv_kernel": [10, 8],
    "conv_stride": [5, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 20,
}
AST = SMALL | {"max_length": 64, "num_mel_bins": 32}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_mel_bins": 80,
    "vocab_size": 60,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
CLAP_AUDIO: dict[str, Any] = {
    "patch_embeds_hidden_size": 8,
    "hidden_size": 32,
    "depths": [1, 1],
    "num_attention_heads": [1, 2],
    "window_size": 4,
    "spec_size": 64,
    "num_mel_bins": 16,
    "patch_size": 4,
    "patch_stride": [4, 4],
}
HIERA = {
    "embed_dim": 8,
    "image_size": [32, 32],
    "depths": [1, 1, 1],
    "num_heads": [1, 2, 4],
    "query_stride": [2, 2],
    "masked_unit_size": [4, 4],
    "num_query_pool": 2,
}


def _wav2vec2(family: str, norm: str) -> tuple[PreTrainedModel, Any]:
    config, model = getattr(hf, f"{family}Config"), getattr(hf, f"{family}Model")
    stable = norm == "layer"
    built = model(config(**SMALL, **CONVOLUTIONS, feat_extract_norm=norm, do_stable_layer_norm=stable))
    return built, hf.Wav2Vec2FeatureExtractor(return_attention_mask=stable)


def _clap(truncation: str = "rand_trunc", **audio: Any) -> tuple[PreTrainedModel, Any]:
    model = hf.ClapModel(hf.ClapConfig(text_config=TEXT, audio_config={**CLAP_AUDIO, **audio}))
    sizes = {"feature_size": 16, "sampling_rate": 16000, "hop_length": 256, "max_length_s": 1, "fft_window_size": 512}
    return model, hf.ClapFeatureExtractor(**sizes, truncation=truncation, frequency_max=8000)


FAMILIES: dict[str, Callable[[], tuple[PreTrainedModel, Any]]] = {
    "clip": lambda: (
        hf.CLIPModel(hf.CLIPConfig(text_config=TEXT, vision_config=VISION)),
        hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "clip vision": lambda: (
        hf.CLIPVisionModel(hf.CLIPVisionConfig(**VISION)),
        hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "siglip": lambda: (
        hf.SiglipModel(hf.SiglipConfig(text_config=TEXT, vision_config=VISION)),
        hf.SiglipImageProcessorPil(size=SQUARE),
    ),
    "siglip 2 of any size": lambda: (
        hf.Siglip2Model(hf.Siglip2Config(text_config=TEXT, vision_config=SMALL | {"patch_size": 8, "num_patches": 16})),
        hf.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16),
    ),
    "dinov2": lambda: (
        hf.Dinov2Model(hf.Dinov2Config(**VISION)),
        hf.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "dinov2 with registers": lambda: (
        hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**VISION)),
        hf.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "dinov3": lambda: (
        hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**VISION, num_register_tokens=4)),
        hf.ViTImageProcessorPil(size=SQUARE),
    ),
    "vit": lambda: (hf.ViTModel(hf.ViTConfig(**VISION)), hf.ViTImageProcessorPil(size=SQUARE)),
    "hiera": lambda: (
        hf.HieraModel(hf.HieraConfig(**HIERA)),
        hf.BitImageProcessorPil(size=SQUARE, do_center_crop=False),
    ),
    "videomae": lambda: (
        hf.VideoMAEModel(hf.VideoMAEConfig(**VISION, num_frames=4, tubelet_size=2)),
        hf.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "timesformer": lambda: (
        hf.TimesformerModel(hf.TimesformerConfig(**VISION, num_frames=4)),
        hf.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "ast": lambda: (
        hf.ASTModel(hf.ASTConfig(**AST)),
        hf.ASTFeatureExtractor(num_mel_bins=32, max_length=64),
    ),
    "clap": _clap,
    "clap with fusion": lambda: _clap("fusion", enable_fusion=True, fusion_type="aff_2d", aff_block_r=2),
    "whisper": lambda: (hf.WhisperModel(hf.WhisperConfig(**WHISPER)), hf.WhisperFeatureExtractor()),
    "wav2vec2, group norm": lambda: _wav2vec2("Wav2Vec2", "group"),
    "wav2vec2, layer norm": lambda: _wav2vec2("Wav2Vec2", "layer"),
    "hubert": lambda: _wav2vec2("Hubert", "layer"),
}
PICTURES = (
    "clip",
    "clip vision",
    "siglip",
    "siglip 2 of any size",
    "dinov2",
    "dinov2 with registers",
    "dinov3",
    "vit",
    "hiera",
)
SOUNDS = ("ast", "clap", "clap with fusion", "whisper", "wav2vec2, group norm", "wav2vec2, layer norm", "hubert")


def picture(seed: int) -> Media:
    values = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Media("image", data=values)


def sound(seconds: float, seed: int = 0, rate: int = 16000) -> Media:
    samples = np.random.default_rng(seed).normal(0, 0.1, max(1, round(seconds * rate))).astype(np.float32)
    return Media("sound", data=samples, sampling_rate=rate)


def items_for(family: str) -> list[Media]:
    if family in PICTURES:
        return [picture(seed) for seed in range(3)]
    if family in ("videomae", "timesformer"):
        frames = np.random.default_rng(0).integers(0, 256, (3, 6, 40, 48, 3), dtype=np.uint8)
        return [Media("video", data=frame) for frame in frames]
    return [sound(0.4, seed) for seed in range(3)]


def join(encoder: Encoder, items: list[Media]) -> dict[str, torch.Tensor]:
    inputs = [encoder.preprocess(item) for item in items]
    return {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}
