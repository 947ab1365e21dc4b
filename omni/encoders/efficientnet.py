"""EfficientNet-Lite (0 to 4): a small image network without squeeze-and-excitation, made for slow devices.

Architecture: Tan and Le 2019 (EfficientNet, arXiv:1905.11946), in the "Lite" form of the TensorFlow authors: ReLU6, no
squeeze-and-excitation, stem and head of fixed width. Key names are those of the published PyTorch checkpoints.
Shapes: B pictures, S side in pixels, N features, D feature width.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from omni.encoders.base import Encoder, Features
from omni.encoders.layers import LAST, layers_config, parse_layers
from omni.encoders.regions import picture_regions
from omni.encoders.weights import find_weights, load_strictly, read_state_dict
from omni.media.image import load_image
from omni.media.item import Media
from omni.starter import resolve

HEAD_WIDTH = 1280
NUM_CLASSES = 1000
LARGEST_SQUARE = 8192  # pixels; 268 MB. A strip of 1 x 1,000,000 pixels would need 4 TB
CPU_CHUNK = 8  # pictures at a time; at 32 the activations leave the processor's caches: measured at half the speed


@dataclass(frozen=True)
class Variant:
    """Differences of one size of the family from the base network."""

    width: float  # multiplies channels
    depth: float  # multiplies the repeats of a stage
    image_size: int  # pixels


VARIANTS = {
    "lite0": Variant(1.0, 1.0, 224),
    "lite1": Variant(1.0, 1.1, 240),
    "lite2": Variant(1.1, 1.2, 260),
    "lite3": Variant(1.2, 1.4, 280),
    "lite4": Variant(1.4, 1.8, 300),
}

# Stages of the base network: repeats, kernel, stride, expansion, output channels (table 1 of the paper).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite(Encoder):
    """Encode pictures as a feature map before pooling: 7 x 7 positions of width 1280 in the last layer at 224 pixels.

    weights: file (`.pth` or `.safetensors`) of the published checkpoint, or a folder with one such file.
    variant: lite0, lite1, lite2, lite3 or lite4; it must match the checkpoint.
    image_size: side in pixels; default: the one that the variant was trained with.
    layers: the layers that give the features: 0 the stem, 1 to 7 the stages of the paper's table 1, 8 (or -1, the
        default) the head.
        Several are joined by channel, on the coarsest grid among them; finer ones are averaged over its squares.
    modality: another name where pictures mean something else (depth, thermal, ...).
    Pictures are padded with white to a square, resized (bicubic) and scaled to (x - 127) / 128.
    """

    medium = "picture"
    file_extensions = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
    fingerprint_name = "omni.encoders.efficientnet.EfficientNetLite"
    uncounted_arguments = ("weights", "modality")

    def __init__(
        self,
        weights: str | Path,
        variant: str = "lite0",
        image_size: int | None = None,
        layers: int | Sequence[int] = LAST,
        modality: str = "image",
        licence: str | None = "Apache-2.0",
    ) -> None:
        super().__init__(licence=licence)
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}; allowed: {', '.join(VARIANTS)}")
        self.modality = modality
        self.variant = variant
        self.image_size = image_size or VARIANTS[variant].image_size
        self.layers = parse_layers(layers, len(STAGES) + 1)
        self.dim = sum(self.layer_widths[layer] for layer in self.layers)
        self.max_features = self._num_features()
        path = find_weights(weights, (".safetensors", ".pth"))
        self._own_labels = path.parent / "labels.txt"
        self.network = EfficientNetLiteNetwork(VARIANTS[variant])
        load_strictly(self.network, read_state_dict(path), path)
        self.network.fold_batch_norms()
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def layer_widths(self) -> tuple[int, ...]:
        width = VARIANTS[self.variant].width
        return (32, *(_scaled_channels(stage[-1], width) for stage in STAGES), HEAD_WIDTH)

    def with_layers(self, layers: Sequence[int]) -> Self:
        found = super().with_layers(layers)
        found.max_features = found._num_features()
        return found

    def _num_features(self) -> int:
        return min(_sides(self.image_size)[layer] for layer in self.layers) ** 2

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one picture into pixels [1, 3, S, S] uint8."""
        picture = pad_to_square(load_image(media))
        picture = picture.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        return {"pixels": torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()[None]}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return self.max_features

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        regions = picture_regions(self.preprocess, load_image(media).size, "pixels", self.max_features)
        return None if regions is None else regions[None]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode pixels [B, 3, S, S] uint8 to [B, N, D], row by row from the top left."""
        values = self._feature_map(inputs["pixels"], self.layers).flatten(2).transpose(1, 2).contiguous()
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    @torch.no_grad()
    def classify(self, pixels: Tensor) -> Tensor:
        """Return logits [B, 1000] of the ImageNet-1k classes, in their usual order, for pixels [B, 3, S, S] uint8."""
        return self.network.classify(self._feature_map(pixels))

    def label_names(self) -> list[str]:
        """Read a name for each class: `labels.txt` next to the weights, a line for each, else those of ImageNet-1k."""
        file = self._own_labels if self._own_labels.exists() else Path(resolve("starter:imagenet-labels/labels.txt"))
        names = file.read_text(encoding="utf-8").splitlines()
        if len(names) != NUM_CLASSES:
            raise ValueError(f"{file} has {len(names)} lines; it needs one for each of the {NUM_CLASSES} classes")
        return names

    def label_probabilities(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the mean over pictures of their class probabilities, [1000]."""
        return self.classify(inputs["pixels"].to(self.network._fc.weight.device)).float().softmax(1).mean(0)

    def preprocessing_config(self) -> dict[str, object]:
        return {"variant": self.variant, "image_size": self.image_size, **layers_config(self.layers)}

    def _feature_map(self, pixels: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        scaled = (pixels.to(self.network._fc.weight.dtype) - 127) / 128
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        if scaled.device.type != "cpu":
            return self.network.feature_map(scaled, layers)
        return torch.cat([self._chunk_on_cpu(chunk, layers) for chunk in scaled.split(CPU_CHUNK)])

    def _chunk_on_cpu(self, chunk: Tensor, layers: Sequence[int]) -> Tensor:
        # A lone picture takes another path through the matrix products and so differs in the last bits. Taken twice, it
        # gives the same bits as in any batch, which makes cached features equal to live ones.
        if len(chunk) == 1:
            twice = chunk.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)
            return self.network.feature_map(twice, layers)[:1]
        return self.network.feature_map(chunk, layers)


def pad_to_square(picture: Image.Image) -> Image.Image:
    """Place the picture in the middle of a white square, so that resizing keeps its proportions.

    If the square would have a side of more than `LARGEST_SQUARE`, the picture is made smaller first.
    """
    side = max(picture.size)
    if picture.size == (side, side):
        return picture
    if side > LARGEST_SQUARE:
        scale = LARGEST_SQUARE / side
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        side = LARGEST_SQUARE
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


class EfficientNetLiteNetwork(nn.Module):
    """The whole network, classifier included, with the checkpoint's key names (hence the leading underscores)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self._conv_stem = SamePaddingConv(3, 32, 3, stride=2)
        self._bn0 = _batch_norm(32)
        self._stage_lengths = _stage_lengths(variant)
        self._blocks = nn.ModuleList(_build_blocks(variant))
        last_width = _scaled_channels(STAGES[-1][-1], variant.width)
        self._conv_head = SamePaddingConv(last_width, HEAD_WIDTH, 1)
        self._bn1 = _batch_norm(HEAD_WIDTH)
        self._fc = nn.Linear(HEAD_WIDTH, NUM_CLASSES)

    def feature_map(self, scaled: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        """Turn scaled pixels [B, 3, S, S] into [B, 1280, ceil(S / 32), ceil(S / 32)].

        layers: as `EfficientNetLite` explains them.
        """
        chosen = [layer % (len(STAGES) + 2) for layer in layers]
        maps = []
        for number, hidden in enumerate(self._feature_maps(scaled)):
            maps.append(hidden if number in chosen else None)
            if number == max(chosen):
                break
        found = [hidden for number in chosen for hidden in [maps[number]] if hidden is not None]
        side = min(one.shape[-1] for one in found)
        return found[0] if len(found) == 1 else torch.cat([_averaged(one, side) for one in found], dim=1)

    def _feature_maps(self, scaled: Tensor) -> Iterator[Tensor]:
        """Yield the output of the stem, of every stage, and of the head for scaled pixels."""
        hidden = functional.relu6(self._bn0(self._conv_stem(scaled)))
        yield hidden
        blocks = iter(self._blocks)
        for length in self._stage_lengths:
            for block in itertools.islice(blocks, length):
                hidden = block(hidden)
            yield hidden
        yield functional.relu6(self._bn1(self._conv_head(hidden)))

    def classify(self, feature_map: Tensor) -> Tensor:
        """Return logits [B, 1000] for a feature map [B, 1280, H, W]."""
        return self._fc(feature_map.mean(dim=(2, 3)))

    def fold_batch_norms(self) -> None:
        """Move every batch norm into the convolution before it: the same function, fewer passes over memory."""
        _fold(self, "_conv_stem", "_bn0")
        for block in self._blocks:
            _fold(block, "_expand_conv", "_bn0")
            _fold(block, "_depthwise_conv", "_bn1")
            _fold(block, "_project_conv", "_bn2")
        _fold(self, "_conv_head", "_bn1")


class InvertedResidual(nn.Module):
    """Widen by a 1 x 1 convolution, filter each channel, narrow again; a residual where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.has_residual = stride == 1 and in_channels == out_channels
        self._expand_conv = SamePaddingConv(in_channels, width, 1) if expansion != 1 else None
        self._bn0 = _batch_norm(width) if expansion != 1 else None
        self._depthwise_conv = SamePaddingConv(width, width, kernel, stride=stride, groups=width)
        self._bn1 = _batch_norm(width)
        self._project_conv = SamePaddingConv(width, out_channels, 1)
        self._bn2 = _batch_norm(out_channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H', W']."""
        hidden = inputs
        if self._expand_conv is not None and self._bn0 is not None:
            hidden = functional.relu6(self._bn0(self._expand_conv(hidden)))
        hidden = functional.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return hidden + inputs if self.has_residual else hidden


class SamePaddingConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: with stride 2 the odd pixel goes to the right and bottom."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        (kernel, stride) = self.kernel_size[0], self.stride[0]
        height, width = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in input.shape[2:])
        if height == width and height % 2 == 0:  # symmetric: the convolution pads by itself, without a copy
            return functional.conv2d(input, self.weight, self.bias, self.stride, height // 2, 1, self.groups)
        padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        return functional.conv2d(functional.pad(input, padding), self.weight, self.bias, self.stride, 0, 1, self.groups)


def _averaged(feature_map: Tensor, side: int) -> Tensor:
    """[B, D, H, H] -> [B, D, side, side]."""
    return feature_map if feature_map.shape[-1] == side else functional.adaptive_avg_pool2d(feature_map, side)


def _sides(image_size: int) -> list[int]:
    """Return the sides of the feature maps of stem, stages and head, in positions."""
    sides = [math.ceil(image_size / 2)]
    for stage in STAGES:
        sides.append(math.ceil(sides[-1] / stage[2]))
    return [*sides, sides[-1]]


def _stage_lengths(variant: Variant) -> list[int]:
    """Return the number of blocks of each stage; the Lite family does not deepen the first and the last."""
    inner = range(1, len(STAGES) - 1)
    return [math.ceil(stage[0] * variant.depth) if i in inner else stage[0] for i, stage in enumerate(STAGES)]


def _build_blocks(variant: Variant) -> list[InvertedResidual]:
    blocks = []
    in_channels = 32
    for repeats, (_, kernel, stride, expansion, channels) in zip(_stage_lengths(variant), STAGES, strict=True):
        out_channels = _scaled_channels(channels, variant.width)
        for repeat in range(repeats):
            blocks.append(InvertedResidual(in_channels, out_channels, kernel, stride if repeat == 0 else 1, expansion))
            in_channels = out_channels
    return blocks


def _scaled_channels(channels: int, width: float) -> int:
    """Multiply channels by width, rounded to a multiple of 8 but never down by more than 10 % (the authors' rule)."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _fold(owner: nn.Module, conv_name: str, norm_name: str) -> None:
    conv, norm = getattr(owner, conv_name), getattr(owner, norm_name)
    if conv is None:
        return
    statistics = (norm.running_mean.double(), norm.running_var.double(), norm.eps)
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(), None, *statistics, norm.weight.double(), norm.bias.double()
    )  # in double precision: the folded weights are then rounded once
    conv.weight, conv.bias = (nn.Parameter(tensor.detach().to(conv.weight.dtype)) for tensor in (weight, bias))
    setattr(owner, norm_name, nn.Identity())
