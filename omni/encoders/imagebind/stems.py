"""Turn preprocessed media into the tokens that a trunk takes; key names are those of the published checkpoint.

Shapes: B clips, N tokens, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIZE = 224
VISION_FRAMES, VISION_PATCH = 2, 14
PATCH = 16  # of audio, depth and thermal
AUDIO_STRIDE = 10
AUDIO_BANDS, AUDIO_FRAMES = 128, 204
IMU_CHANNELS, IMU_SAMPLES, IMU_PATCH = 6, 2000, 8
CONTEXT_LENGTH, VOCABULARY_SIZE = 77, 49408

# Shape of a clip of each trunk, without B.
CLIP_SHAPES = {
    "vision": (3, VISION_FRAMES, IMAGE_SIZE, IMAGE_SIZE),
    "audio": (1, AUDIO_BANDS, AUDIO_FRAMES),
    "depth": (1, IMAGE_SIZE, IMAGE_SIZE),
    "thermal": (1, IMAGE_SIZE, IMAGE_SIZE),
    "imu": (IMU_CHANNELS, IMU_SAMPLES),
    "text": (CONTEXT_LENGTH,),
}


class PositionEmbedding(nn.Module):
    """Learned positions of the class token and the patches."""

    def __init__(self, num_tokens: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, num_tokens, width))


class VisionStem(nn.Module):
    """Patches of 14 x 14 pixels over two frames, by one linear map without bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        size = (VISION_FRAMES, VISION_PATCH, VISION_PATCH)
        self.proj = nn.Sequential(nn.Identity(), nn.Conv3d(3, width, size, stride=size, bias=False))

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, 2, S, S], or [B, 3, S, S] for stills -> [B, N, D]."""
        weight = self.proj[1].weight
        assert isinstance(weight, Tensor)
        # A still is two equal frames, so the kernel's two halves add up; two frames are six channels.
        kernel = weight.sum(dim=2) if pixels.ndim == 4 else weight.flatten(1, 2)
        channels = pixels if pixels.ndim == 4 else pixels.flatten(1, 2)
        return functional.conv2d(channels, kernel, stride=VISION_PATCH).flatten(2).transpose(1, 2)


class PatchStem(nn.Module):
    """Patches of 16 x 16 values of one channel, by a linear map without bias and a norm."""

    def __init__(self, width: int, stride: int = PATCH) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH, stride=stride, bias=False)
        self.norm_layer = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """[B, 1, height, width] -> [B, N, D], row by row."""
        return self.norm_layer(self.proj(values).flatten(2).transpose(1, 2))


class ImuStem(nn.Module):
    """Steps of 8 samples of all six channels (channel by channel), by a linear map without bias and a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(IMU_CHANNELS * IMU_PATCH, width, bias=False)
        self.norm_layer = nn.LayerNorm(width)

    def forward(self, samples: Tensor) -> Tensor:
        """[B, 6, T] -> [B, T / 8, D]."""
        steps = samples.unflatten(-1, (-1, IMU_PATCH)).transpose(1, 2).flatten(2)
        return self.norm_layer(self.proj(steps))


class MediaPreprocessor(nn.Module):
    """Stem, class token and positions of vision, audio, depth and thermal."""

    def __init__(self, stem_name: str, stem: nn.Module, num_patches: int, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.add_module(stem_name, stem)
        self._stem_name = stem_name
        self.pos_embedding_helper = PositionEmbedding(num_patches + 1, width)

    def forward(self, clips: Tensor) -> Tensor:
        """Turn preprocessed clips into tokens [B, N, D], the class token first."""
        patches = self.get_submodule(self._stem_name)(clips)
        return _with_class_token(self.cls_token, patches) + self.pos_embedding_helper.pos_embed


class ImuPreprocessor(nn.Module):
    """Stem, class token and positions of IMU, whose positions are named otherwise in the checkpoint."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.imu_stem = ImuStem(width)
        self.pos_embed = nn.Parameter(torch.empty(1, IMU_SAMPLES // IMU_PATCH + 1, width))

    def forward(self, clips: Tensor) -> Tensor:
        """[B, 6, 2000] -> [B, 251, D], the class token first."""
        return _with_class_token(self.cls_token, self.imu_stem(clips)) + self.pos_embed


class TextPreprocessor(nn.Module):
    """Token embeddings and positions. The causal mask is part of the checkpoint, but SDPA needs none."""

    mask: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, CONTEXT_LENGTH, width))
        self.register_buffer("mask", torch.empty(CONTEXT_LENGTH, CONTEXT_LENGTH))
        self.token_embedding = nn.Embedding(VOCABULARY_SIZE, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        """[B, N] -> [B, N, D]."""
        return self.token_embedding(token_ids) + self.pos_embed[:, : token_ids.shape[1]]


def build_preprocessor(trunk: str, width: int) -> nn.Module:
    """Build the preprocessor of one of the six trunks."""
    if trunk == "text":
        return TextPreprocessor(width)
    if trunk == "imu":
        return ImuPreprocessor(width)
    if trunk == "vision":
        return MediaPreprocessor("rgbt_stem", VisionStem(width), (IMAGE_SIZE // VISION_PATCH) ** 2, width)
    if trunk == "audio":
        rows, columns = audio_grid()
        return MediaPreprocessor("rgbt_stem", PatchStem(width, AUDIO_STRIDE), rows * columns, width)
    name = "depth_stem" if trunk == "depth" else "rgbt_stem"
    return MediaPreprocessor(name, PatchStem(width), (IMAGE_SIZE // PATCH) ** 2, width)


def audio_grid() -> tuple[int, int]:
    """Return how many patches a sound clip has in bands (rows) and times (columns): 12 and 19."""
    return (AUDIO_BANDS - PATCH) // AUDIO_STRIDE + 1, (AUDIO_FRAMES - PATCH) // AUDIO_STRIDE + 1


def _with_class_token(class_token: Tensor, patches: Tensor) -> Tensor:
    return torch.cat([class_token.expand(len(patches), -1, -1), patches], dim=1)
