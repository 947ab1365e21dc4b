"""ImageBind's published weights as a JointSpace."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from omni.config import JointSpaceConfig, SpaceModalityConfig
from omni.config.components import ComponentConfig
from omni.encoders.imagebind import ImageBindSizes
from omni.joint_space.space import JointSpace, build_space

IMAGEBIND_MODALITIES = ("image", "video", "text", "sound", "depth", "thermal", "imu")


def imagebind_space(
    weights: str | Path,
    vocabulary: str | Path | None = None,
    *,
    modalities: Collection[str] = IMAGEBIND_MODALITIES,
    dtype: str = "float32",
    sizes: ImageBindSizes | Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
) -> JointSpace:
    """The joint space of ImageBind (Girdhar et al. 2023); `save` makes a folder of it, which refers to `weights`.

    Its embeddings with `normalize=False` are those of the published code: scaled, and of several clips the mean. So are
    the probabilities that `classify` gives.

    Args:
        weights: the published `imagebind_huge.pth`.
        vocabulary: CLIP's `bpe_simple_vocab_16e6.txt.gz`; without it there is no modality `text`.
        modalities: those to have, of `IMAGEBIND_MODALITIES`.
        dtype: of the trunks: float32, float16 or bfloat16.
        sizes: of other checkpoints in the published key names.

    Raises:
        FileNotFoundError, ValueError: the file is missing, or is not ImageBind's.
    """
    unknown = sorted(set(modalities) - set(IMAGEBIND_MODALITIES))
    if unknown:
        raise ValueError(f"ImageBind has no modality {unknown}; it has {', '.join(IMAGEBIND_MODALITIES)}")
    parsed = ImageBindSizes.parse(sizes)
    common: dict[str, Any] = {
        "weights": str(Path(weights).absolute()),
        "output": "embedding",
        "normalize": False,
        "dtype": dtype,
    }
    if parsed != ImageBindSizes():
        common["sizes"] = dataclasses.asdict(parsed)
    configs = {}
    for name in modalities:
        if name == "text" and vocabulary is None:
            continue
        own = {"vocabulary": str(Path(vocabulary).absolute())} if name == "text" and vocabulary is not None else {}
        configs[name] = SpaceModalityConfig(
            ComponentConfig("omni.encoders.ImageBindEncoder", {**common, "kind": name, **own}),
            ComponentConfig("omni.joint_space.IdentityHead"),
        )
    return build_space(JointSpaceConfig(configs, parsed.embedding_dim), device)
