"""Video and 3D through an image encoder: frames in time, and views from all sides.

Shapes: C clips of one item, B clips of a batch, N features of a clip, D feature width.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from omni.components import build
from omni.encoders.base import Encoder, Features
from omni.encoders.rendering import render_views
from omni.media.frames import load_frames
from omni.media.item import Media
from omni.media.mesh import load_mesh


class _PicturesEncoder(Encoder):
    """Several pictures of one item, each a clip of an image encoder."""

    def __init__(self, image_encoder: Encoder | Mapping[str, Any], modality: str, max_pictures: int) -> None:
        if isinstance(image_encoder, Mapping):
            image_encoder = build(image_encoder, "image_encoder")
        if not isinstance(image_encoder, Encoder):
            raise ValueError(f"image_encoder must be an Encoder, got {type(image_encoder).__name__}")
        if max_pictures < 1:
            raise ValueError(f"an item needs at least one picture, got {max_pictures}")
        super().__init__(trainable=image_encoder.trainable, licence=image_encoder.licence)
        self.image_encoder = image_encoder
        self.modality = modality
        self.dim = image_encoder.dim
        self.max_features = max_pictures * image_encoder.max_features

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        return self.image_encoder.features_per_clip(inputs)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        return self.image_encoder(inputs)

    def preprocessing_config(self) -> dict[str, Any]:
        return {"modality": self.modality, "image_encoder": self.image_encoder.fingerprint()}

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        return iter(())  # the image encoder's fingerprint holds its weights

    def _preprocess_pictures(self, pictures: list[Image.Image]) -> dict[str, Tensor]:
        inputs = [self.image_encoder.preprocess(Media("image", data=picture)) for picture in pictures]
        return {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}


class FrameEncoder(_PicturesEncoder):
    """A video as frames, evenly spread, with their place in time added to the features.

    image_encoder: an encoder, or `{class_path, init_args}` of one.
    num_frames: at most; a video with fewer gives fewer.
    position_scale: size of the positions beside the features (ratio of root mean squares).
    """

    file_extensions = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif")

    def __init__(
        self,
        image_encoder: Encoder | Mapping[str, Any],
        num_frames: int = 8,
        position_scale: float = 0.5,
        modality: str = "video",
    ) -> None:
        super().__init__(image_encoder, modality, num_frames)
        self.num_frames = num_frames
        self.position_scale = position_scale

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """One video -> what the image encoder takes, and `frame_number` [C] float32."""
        frames = load_frames(media, self.num_frames).images
        inputs = self._preprocess_pictures(frames)
        # An image encoder may make several clips (tiles) of a frame.
        clips_per_frame = len(next(iter(inputs.values()))) // len(frames)
        numbers = torch.arange(len(frames), dtype=torch.float32).repeat_interleave(clips_per_frame)
        return {**inputs, "frame_number": numbers}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """The image encoder's features with positions added, [B, N, D]."""
        pictures = {name: tensor for name, tensor in inputs.items() if name != "frame_number"}
        values, mask = super().encode(pictures)
        positions = sinusoidal_positions(inputs["frame_number"].to(values.device), self.dim).to(values.dtype)[:, None]
        # Relative to the features of the same frame, because encoders differ in scale by orders of magnitude.
        root_mean_square = values.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return Features(values + self.position_scale * root_mean_square * math.sqrt(2) * positions, mask)

    def preprocessing_config(self) -> dict[str, Any]:
        own = {"num_frames": self.num_frames, "position_scale": self.position_scale}
        return {**super().preprocessing_config(), **own}


class MultiViewEncoder(_PicturesEncoder):
    """A mesh or point cloud as pictures from all sides (as in MVCNN, Su et al. 2015, and PointCLIP, Zhang et al. 2022).

    image_encoder: an encoder, or `{class_path, init_args}` of one.
    render_size: side of the pictures, in pixels. elevation: of the camera, in degrees. up: axis that points up.
    """

    file_extensions = (".obj", ".ply", ".stl", ".glb", ".off")

    def __init__(
        self,
        image_encoder: Encoder | Mapping[str, Any],
        num_views: int = 6,
        render_size: int = 224,
        elevation: float = 30.0,
        up: str = "y",
        modality: str = "point_cloud",
    ) -> None:
        if up not in ("x", "y", "z"):
            raise ValueError(f"up is {up!r}; allowed: x, y, z")
        super().__init__(image_encoder, modality, num_views)
        self.num_views = num_views
        self.render_size = render_size
        self.elevation = elevation
        self.up = up

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """One mesh or cloud -> what the image encoder takes, with the views as clips."""
        mesh = load_mesh(media)
        return self._preprocess_pictures(render_views(mesh, self.num_views, self.render_size, self.elevation, self.up))

    def preprocessing_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("num_views", "render_size", "elevation", "up")}
        return {**super().preprocessing_config(), **own}


def sinusoidal_positions(numbers: Tensor, dim: int) -> Tensor:
    """Numbers [B] -> [B, dim]: sines, then cosines, of wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017).

    Their root mean square is 1 / sqrt(2) where dim is even.
    """
    half = (dim + 1) // 2
    frequencies = torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(half, device=numbers.device) / half)
    angles = numbers.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]
