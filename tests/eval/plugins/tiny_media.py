"""Encoders of real pictures, sounds and videos that need no weights, and a tiny model and space of them."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor, nn

from omni.config import LLMConfig, ModalityConfig, ModelConfig, from_dict
from omni.encoders.base import Encoder, Features
from omni.joint_space import JointSpace, JointSpaceConfig, build_space
from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.item import Media
from omni.media.sound import load_sound
from omni.model import OmniModel, build_model

MLP = {"class_path": "adapters.MLP", "init_args": {}}
KINDS = {"image": "Pixels", "sound": "Waves", "video": "Film"}


class _Tiny(Encoder):
    """Numbers [N, 3] of an item, through a random matrix."""

    max_features = 16

    def __init__(self, dim: int = 8, modality: str | None = None) -> None:
        super().__init__(licence="MIT")
        self.dim = dim
        self.modality = modality or self.modality
        self.weight = nn.Parameter(torch.randn(3, dim, generator=torch.Generator().manual_seed(3)))

    def numbers(self, media: Media) -> np.ndarray:
        raise NotImplementedError

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        return {"values": torch.as_tensor(np.float32(self.numbers(media)))[None]}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = torch.tanh(inputs["values"] @ self.weight)
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))


class Pixels(_Tiny):
    modality = "image"

    def numbers(self, media: Media) -> np.ndarray:
        return np.asarray(load_image(media).resize((4, 4))).reshape(16, 3) / 128 - 1


class Waves(_Tiny):
    modality = "sound"

    def numbers(self, media: Media) -> np.ndarray:
        samples = load_sound(media, sampling_rate=8000).samples
        return samples[np.linspace(0, len(samples) - 1, 48).astype(int)].reshape(16, 3) * 2


class Film(_Tiny):
    modality = "video"

    def numbers(self, media: Media) -> np.ndarray:
        frames = load_frames(media, num_frames=4).images
        return np.stack([np.asarray(frame.resize((1, 1))).reshape(3) for frame in frames]) / 128 - 1


def media_model(llm: Path, kinds: tuple[str, ...] = ("image", "sound", "video")) -> OmniModel:
    """A random model of pictures, sounds and videos."""
    modalities = {
        kind: from_dict(
            ModalityConfig,
            {"encoder": {"class_path": f"{__name__}.{KINDS[kind]}"}, "adapter": MLP, "cue": f"{kind}: "},
        )
        for kind in kinds
    }
    torch.manual_seed(0)
    return build_model(ModelConfig(from_dict(LLMConfig, {"name": str(llm)}), modalities))


def media_space(*kinds: str) -> JointSpace:
    """A random space of the kinds and of texts."""
    linear = {"class_path": "omni.joint_space.LinearHead"}
    modalities: dict[str, Any] = {
        kind: {"encoder": {"class_path": f"{__name__}.{KINDS[kind]}"}, "head": linear} for kind in kinds
    }
    modalities["text"] = {"encoder": {"class_path": "tests.tiny_space.WordEncoder"}, "head": linear}
    torch.manual_seed(0)
    return build_space(from_dict(JointSpaceConfig, {"modalities": modalities, "dim": 8}, "joint_space"))


def write_picture(path: Path, seed: int) -> Path:
    """Write a picture of random blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((32, 32), Image.Resampling.NEAREST).save(path)
    return path


def write_sound(path: Path, seed: int) -> Path:
    """Write a tenth of a second of noise."""
    soundfile.write(path, np.random.default_rng(seed).uniform(-1, 1, 800), 8000)
    return path
