"""Conversations of every kind with tiny media, and models that answer them."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch

from omni.answering import Sampling
from omni.model import OmniModel
from omni.samples.messages import Media, Message, Text
from tests.architectures import tiny_architecture
from tests.omni.llm.test_cross_attention import MIXED, open_gates
from tests.tiny import MLP, RESAMPLER, sensor, tiny_model

LORA = {"r": 4, "mode": "per_modality", "target_modules": ["q_proj", "v_proj"]}
WORDS = ["what is this?", "a frog", "the dog and the bell", "was it heard in the picture?", "x", "describe the image "]


def mixed_model(tiny_llm: Path) -> OmniModel:
    """Two modalities whose tokens stand in the sequence."""
    return tiny_model(tiny_llm).eval()


def attending_model(tiny_llm: Path) -> OmniModel:
    """Two modalities that the layers of the LLM look at, and one in the sequence."""
    return open_gates(tiny_model(tiny_llm, adapters=MIXED)).eval()


def lora_model(tiny_llm: Path) -> OmniModel:
    """A LoRA for each modality, which changes answers."""
    model = tiny_model(tiny_llm, adapters={"image": MLP, "sound": RESAMPLER}, lora=LORA).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.5)
    return model


def model_of(architecture: str, folder: Path, **changes: object) -> OmniModel:
    """A model over another architecture of transformers."""
    return tiny_model(tiny_architecture(architecture, folder, **changes), adapters={"image": MLP}).eval()


def random_conversation(random: Random, modalities: Sequence[str]) -> list[Message]:
    """One to three turns, each with up to two media of any modality."""
    turns = []
    for number in range(random.choice([1, 1, 3])):
        parts: list[Media | Text] = [Text(random.choice(WORDS) * random.randint(1, 4))]
        if number % 2 == 0:
            for _ in range(random.choice([0, 1, 1, 2])):
                item = sensor(random.choice([*modalities]), random.randrange(6), random.randint(1, 14))
                parts.insert(random.randrange(len(parts) + 1), item)
        turns.append(Message("assistant" if number % 2 else "user", tuple(parts)))
    return turns


def random_limits(random: Random) -> Sampling:
    """A greedy answer of any length."""
    most = random.choice([1, 2, 5, 9, 20])
    return Sampling(max_new_tokens=most, min_new_tokens=random.choice([0, 0, most]))


def alone(model: OmniModel, messages: Sequence[Message], sampling: Sampling) -> str:
    """What `OmniModel.generate` answers."""
    return model.generate(
        [*messages], max_new_tokens=sampling.max_new_tokens, min_new_tokens=sampling.min_new_tokens or None
    )
