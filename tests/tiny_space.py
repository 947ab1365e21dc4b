"""A tiny joint space of sensors and texts with random weights, built in milliseconds."""

import torch
from torch import Tensor

from omni.config import from_dict
from omni.encoders.base import Encoder, Features
from omni.joint_space import JointSpace, JointSpaceConfig, build_space
from omni.media.item import Media

DIM = 8


class WordEncoder(Encoder):
    """Texts: each word is a feature, drawn at random by its letters."""

    modality = "text"
    max_features = 16
    fingerprint_name = "tests.tiny_space.WordEncoder"  # under which tests/golden/first_layout has its features

    def __init__(self, dim: int = 12, modality: str = "text") -> None:
        super().__init__(licence="MIT")
        self.modality = modality
        self.dim = dim

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        assert isinstance(media.data, bytes)
        words = media.data.decode().lower().split()[: self.max_features]
        rows = []
        for word in words:
            generator = torch.Generator().manual_seed(int.from_bytes(word.encode()[:6], "big"))
            rows.append(torch.randn(self.dim, generator=generator))
        padded = torch.zeros(self.max_features, self.dim)
        padded[: len(rows)] = torch.stack(rows)
        return {"words": padded[None], "mask": (torch.arange(self.max_features) < len(rows))[None]}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        return Features(inputs["words"], inputs["mask"])


def space_config(dim: int = DIM, head: str = "omni.joint_space.LinearHead", **head_args: object) -> JointSpaceConfig:
    sensors = {
        name: {
            "encoder": {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": seed}},
            "head": {"class_path": head, "init_args": head_args},
        }
        for seed, name in enumerate(("image", "sound"))
    }
    text = {
        "encoder": {"class_path": "tests.tiny_space.WordEncoder", "init_args": {"dim": dim}},
        "head": {"class_path": "omni.joint_space.IdentityHead"},
    }
    return from_dict(JointSpaceConfig, {"modalities": {**sensors, "text": text}, "dim": dim}, "joint_space")


def tiny_space(seed: int = 0, **options: object) -> JointSpace:
    torch.manual_seed(seed)
    return build_space(space_config(**options))  # type: ignore[arg-type]
