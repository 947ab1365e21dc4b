"""Shapes to measure: a model and samples. `starter` has real weights and data, the others random ones of a real size.

Shapes: C clips of an item, N features of a clip, D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, ViTConfig, ViTModel

from adapters import PooledMLP, QFormer
from omni.config import LLMConfig, ModelConfig, from_dict
from omni.encoders.base import Encoder, Features
from omni.llm.language_model import LanguageModel
from omni.media.item import Media
from omni.model import OmniModel, build_model
from omni.model.modality import Modality
from omni.readers import open_dataset
from omni.runtime.device import default_device
from omni.samples.messages import Message, Sample, Text

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Shape:
    """A model and the samples of the steps that are measured."""

    name: str
    description: str
    model: OmniModel
    batches: list[list[Sample]]
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model with random weights: a ViT, an adapter and a Llama."""

    vision: dict[str, int]
    llm: dict[str, int]
    num_frames: int
    num_queries: int
    batch_size: int
    answer_tokens: tuple[float, float, int]  # median and sigma of a log-normal, and the most


# as train/recipes/starter-image.yaml, but for the dropout: all contenders are to compute the same loss
STARTER_MODEL = {
    "llm": {"name": "starter:smollm2"},
    "system": "",
    "modalities": {
        "image": {
            "encoder": {
                "class_path": "omni.encoders.EfficientNetLite",
                "init_args": {"weights": "starter:efficientnet-lite0"},
            },
            "adapter": {"class_path": "adapters.PooledMLP", "init_args": {"num_tokens": 4, "hidden_dim": 512}},
            "cue": "image: ",
        }
    },
}
STARTER_INSTRUCTIONS = ["Describe the picture.", "What is in the picture?", "What is this?"]
STARTER_INSTRUCTIONS += ["Describe what you see and hear."]

# EVA-CLIP-g of BLIP-2 (Fang et al. 2022, arXiv:2211.07636: 40 layers x 1408, patches of 14 at 224 pixels) and Vicuna-7B
EVA_G = {"hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 16, "intermediate_size": 6144}
EVA_G |= {"image_size": 224, "patch_size": 14}
VICUNA_7B = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008}
VICUNA_7B |= {"num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096}
TINY_VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TINY_VISION |= {"image_size": 28, "patch_size": 14}
TINY_LLM = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TINY_LLM |= {"num_key_value_heads": 2, "vocab_size": 500, "max_position_embeddings": 512}
# Answers of instruction data differ far more than captions do: some are a word, some a paragraph. A log-normal with
# median 24 and sigma 1 has 90 % between 5 and 124 tokens.
INSTRUCTION_ANSWERS = (24.0, 1.0, 512)

RANDOM_SHAPES = {
    "eva-vicuna-image": Sizes(EVA_G, VICUNA_7B, 1, 32, 16, INSTRUCTION_ANSWERS),
    "eva-vicuna-video": Sizes(EVA_G, VICUNA_7B, 5, 32, 8, INSTRUCTION_ANSWERS),
    "tiny": Sizes(TINY_VISION, TINY_LLM, 2, 3, 4, (6.0, 0.7, 40)),
}


def build_shape(name: str, dtype: str | None, batch_size: int | None, num_batches: int) -> Shape:
    """Build the shape `name`, on the GPU if there is one.

    Raises:
        ValueError: a shape for GPUs without one, or a number out of range.
        FileNotFoundError: starter assets that were not fetched.
    """
    device = torch.device(default_device())
    if name.startswith("eva-vicuna") and device.type != "cuda":
        raise ValueError(
            f"--shape {name} has 8 billion weights and needs a CUDA device, which is not here: take starter"
        )
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"--batch_size is {batch_size}, but must be at least 1")
    torch_dtype = DTYPES[dtype or ("bfloat16" if device.type == "cuda" else "float32")]
    torch.manual_seed(0)
    return SHAPES[name](name, torch_dtype, device, batch_size, num_batches)


def _starter(name: str, dtype: torch.dtype, device: torch.device, batch_size: int | None, num_batches: int) -> Shape:
    model = build_model(from_dict(ModelConfig, STARTER_MODEL), device).to(dtype)
    dataset = open_dataset("starter:stamps/image-train.jsonl")
    size = batch_size or 16
    order = np.random.default_rng(0).permutation(len(dataset))[: size * num_batches]
    samples = [_with_instruction(cast(Sample, dataset[int(i)]), STARTER_INSTRUCTIONS[i % 4]) for i in order]
    return Shape(
        name,
        "SmolLM2-135M, EfficientNet-Lite0 and PooledMLP (4 tokens) on captions of starter:stamps, their own lengths",
        model,
        _cut(samples, size),
        dtype,
        device,
    )


def _random(name: str, dtype: torch.dtype, device: torch.device, batch_size: int | None, num_batches: int) -> Shape:
    sizes = RANDOM_SHAPES[name]
    with torch.device(device):
        config = LlamaConfig(**cast(dict[str, Any], sizes.llm), pad_token_id=0, bos_token_id=1, eos_token_id=2)
        llm = cast(nn.Module, AutoModelForCausalLM.from_config(config, dtype=dtype))  # never whole in float32
        encoder = RandomViT(sizes.vision).to(dtype)
        width = sizes.llm["hidden_size"]
        adapter = (
            QFormer(encoder.dim, width, num_queries=sizes.num_queries)
            if width >= 1024
            else PooledMLP(encoder.dim, width, num_tokens=sizes.num_queries)
        ).to(dtype)
    language_model = LanguageModel(llm, _word_tokenizer(sizes.llm["vocab_size"]), LLMConfig(name))
    modality = Modality(encoder, adapter, "", join_clips=False)
    model = OmniModel(language_model, {"image": modality})
    size = batch_size or sizes.batch_size
    generator = np.random.default_rng(0)
    samples = [_random_sample(sizes, index, generator) for index in range(size * num_batches)]
    median, sigma, most = sizes.answer_tokens
    what = f"{sizes.num_frames} frame(s) each; answers log-normal (median {median:g}, sigma {sigma:g}, at most {most})"
    return Shape(name, f"random weights, {what}", model, _cut(samples, size), dtype, device)


SHAPES: dict[str, Callable[[str, torch.dtype, torch.device, int | None, int], Shape]] = {
    "starter": _starter,
    **dict.fromkeys(RANDOM_SHAPES, _random),
}


def _with_instruction(sample: Sample, instruction: str) -> Sample:
    question, *rest = sample.messages
    return replace(sample, messages=(replace(question, content=(*question.content, Text(instruction))), *rest))


def _cut(samples: Sequence[Sample], size: int) -> list[list[Sample]]:
    return [list(samples[start : start + size]) for start in range(0, len(samples), size)]


class RandomViT(Encoder):
    """A ViT with random weights over arrays of frames [C, H, W, 3] of uint8; one clip a frame."""

    modality = "image"

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        self._vit = ViTModel(ViTConfig(**cast(Any, sizes)), add_pooling_layer=False)
        self.dim = sizes["hidden_size"]
        self.max_features = 1 << 12

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """See `Encoder`."""
        frames = torch.from_numpy(cast(np.ndarray, media.data)).permute(0, 3, 1, 2)
        return {"pixels": frames.float() / 127.5 - 1}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """See `Encoder`."""
        pixels = inputs["pixels"].to(next(self.parameters()).dtype)
        values = cast(nn.Module, self._vit)(pixel_values=pixels).last_hidden_state
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))


def _word_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A vocabulary of words w3, w4, ...: a text has as many tokens as words."""
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{index}": index for index in range(3, size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def _random_sample(sizes: Sizes, index: int, generator: np.random.Generator) -> Sample:
    side = sizes.vision["image_size"]
    frames = generator.integers(0, 256, (sizes.num_frames, side, side, 3), dtype=np.uint8)
    median, sigma, most = sizes.answer_tokens
    length = int(np.clip(generator.lognormal(np.log(median), sigma), 1, most))

    def words(count: int) -> str:
        return " ".join(f"w{number}" for number in generator.integers(3, sizes.llm["vocab_size"], count))

    question = (Media("image", data=frames), Text(words(int(generator.integers(6, 20)))))
    return Sample(str(index), (Message("user", question), Message("assistant", (Text(words(length)),))))
