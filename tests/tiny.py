"""A tiny LLM with a real tokenizer and chat template, and a tiny encoder: random weights, built in a second."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from omni.config import LLMConfig, ModalityConfig, ModelConfig, from_dict
from omni.encoders.base import Encoder, Features
from omni.media.item import Media
from omni.model import OmniModel, build_model

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are tiny.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = "a the frog dog drum bell picture sound what is this of in user assistant system describe image it was heard"


def tiny_tokenizer(chat_template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens with ChatML's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS, " " + WORDS], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=chat_template,
    )


def tiny_llm_dir(folder: Path, seed: int = 0, chat_template: str | None = CHATML, context: int = 512) -> Path:
    """Write a random two-layer Llama of width 32 with its tokenizer to `folder`; returns it."""
    tokenizer = tiny_tokenizer(chat_template)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class SensorEncoder(Encoder):
    """Arrays [T, 3] in clips of 4 steps -> 4 features of width `dim` a clip; the last clip is padded and masked."""

    modality = "sensor"
    max_features = 64
    file_extensions = (".npy",)
    fingerprint_name = "tests.tiny.SensorEncoder"  # under which tests/golden/first_layout has its features

    def __init__(self, dim: int = 8, seed: int = 0, trainable: bool = False, modality: str = "sensor") -> None:
        super().__init__(trainable=trainable, licence="Apache-2.0")
        self.dim = dim
        self.modality = modality
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(3, dim, generator=generator))

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        source = np.load(media.path) if isinstance(media.path, str) else media.data
        values = torch.as_tensor(np.asarray(source), dtype=torch.float32)
        if values.ndim != 2 or values.shape[1] != 3 or len(values) == 0:
            raise ValueError(f"a sensor recording is an array [T, 3] with T >= 1, got {list(values.shape)}")
        padding = -len(values) % 4
        mask = torch.arange(len(values) + padding) < len(values)
        values = torch.nn.functional.pad(values, (0, 0, 0, padding))
        return {"values": values.reshape(-1, 4, 3), "mask": mask.reshape(-1, 4)}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return 4

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        return Features(torch.tanh(inputs["values"] @ self.weight), inputs["mask"])


RESAMPLER = {
    "class_path": "adapters.Resampler",
    "init_args": {"num_queries": 3, "num_layers": 1, "num_heads": 2, "width": 16},
}
MLP = {"class_path": "adapters.MLP", "init_args": {}}


def tiny_config(
    llm: Path, adapters: Mapping[str, Mapping[str, Any]] | None = None, lora: Mapping[str, Any] | None = None
) -> ModelConfig:
    """A model of the given modalities (name -> adapter), each behind its own `SensorEncoder`."""
    adapters = {"image": RESAMPLER, "sound": MLP} if adapters is None else adapters
    modalities = {
        name: from_dict(
            ModalityConfig,
            {
                "encoder": {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": index}},
                "adapter": adapter,
                "cue": f"{name}: ",
            },
        )
        for index, (name, adapter) in enumerate(adapters.items())
    }
    llm_config = from_dict(LLMConfig, {"name": str(llm), "lora": lora})
    return ModelConfig(llm_config, modalities)


def tiny_model(llm: Path, seed: int = 0, **options: Any) -> OmniModel:
    """A model of `tiny_config` with random adapters."""
    torch.manual_seed(seed)
    return build_model(tiny_config(llm, **options))


def recording(seed: int, length: int = 6) -> np.ndarray:
    """A random sensor recording [length, 3]."""
    return np.random.default_rng(seed).normal(size=(length, 3)).astype(np.float32)


def sensor(modality: str, seed: int, length: int = 6) -> Media:
    """A random media item for `SensorEncoder`."""
    return Media(modality, data=recording(seed, length))
