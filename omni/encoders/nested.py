"""Encode video, 3D, depth and thermal pictures with an image encoder, as frames, views from all sides, grey pictures.

Shapes: C clips of one item, B clips of a batch, N features of a clip, D feature width.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from omni.config.components import build
from omni.encoders.base import Encoder, Features
from omni.encoders.rendering import render_views
from omni.media.clips import Clips
from omni.media.depth import DEPTH_EXTENSIONS, load_disparity
from omni.media.frames import VIDEO_EXTENSIONS, fewest_frames, load_frames, load_frames_at
from omni.media.item import Media
from omni.media.mesh import MESH_EXTENSIONS, load_mesh
from omni.media.parts.contract import MediaParts
from omni.media.parts.frames import FrameParts
from omni.media.thermal import THERMAL_EXTENSIONS, load_thermal


class _PicturesEncoder(Encoder):
    """Several pictures of one item, each a clip of an image encoder."""

    def __init__(self, image_encoder: Encoder | Mapping[str, Any], modality: str, max_pictures: int) -> None:
        if isinstance(image_encoder, Mapping):
            image_encoder = build(image_encoder, "image_encoder", Encoder)
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

    def _regions_of(self, picture: Image.Image) -> Tensor | None:
        """The regions [C, N, 2, 2] of a picture that the image encoder takes."""
        media = Media("image", data=picture)
        return self.image_encoder.feature_regions(media, self.image_encoder.preprocess(media))

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        return self.image_encoder(inputs)

    def label_names(self) -> list[str]:
        """Return those of the image encoder."""
        return self.image_encoder.label_names()

    def label_probabilities(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the mean over the pictures of an item."""
        return self.image_encoder.label_probabilities(self._pictures(inputs))

    def _pictures(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The image encoder's inputs, without those that a subclass adds."""
        return inputs

    def preprocessing_config(self) -> dict[str, Any]:
        return {"modality": self.modality, "image_encoder": self.image_encoder.fingerprint()}

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        return iter(())  # the image encoder's fingerprint holds its weights

    def _preprocess_pictures(self, pictures: list[Image.Image]) -> dict[str, Tensor]:
        inputs = [self.image_encoder.preprocess(Media("image", data=picture)) for picture in pictures]
        return {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}


class FrameEncoder(_PicturesEncoder):
    """Encode a video as frames, evenly spread, with their place in time added to the features.

    image_encoder: an encoder, or `{class_path, init_args}` of one.
    num_frames: most frames; a video with fewer, or whose option `num_frames` asks for fewer, gives fewer.
    clips: which frames, see `omni.media.clips.Clips` (a frame is a clip of no length): "dense" takes one every
        `stride_seconds`, "whole" every frame; default: `num_frames`, in the middles of as many equal parts.
    position_scale: size of the positions relative to the features (ratio of root mean squares).
    """

    medium = "video"
    file_extensions = (*VIDEO_EXTENSIONS, ".gif")
    fingerprint_name = "omni.encoders.nested.FrameEncoder"

    def __init__(
        self,
        image_encoder: Encoder | Mapping[str, Any],
        num_frames: int = 8,
        position_scale: float = 0.5,
        clips: Clips | Mapping[str, Any] | None = None,
        modality: str = "video",
    ) -> None:
        self.clips = Clips.parse(clips, default=Clips("uniform", num_frames))
        if self.clips.policy == "dense" and self.clips.stride_seconds is None:
            raise ValueError("clips of the policy dense need stride_seconds here: a frame has no length of its own")
        super().__init__(image_encoder, modality, self.clips.most)
        self.num_frames = self.clips.most
        self.position_scale = position_scale

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one video into the image encoder's inputs, and `frame_number` [C] float32."""
        frames = self._frames(media)
        inputs = self._preprocess_pictures(frames)
        # An image encoder may make several clips (tiles) of a frame.
        clips_per_frame = len(next(iter(inputs.values()))) // len(frames)
        numbers = torch.arange(len(frames), dtype=torch.float32).repeat_interleave(clips_per_frame)
        return {**inputs, "frame_number": numbers}

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        """Return the frame, counted from 0, and the part of its picture of each feature."""
        frames = self._frames(media)
        own = [self._regions_of(frame) for frame in frames]
        if any(one is None or one.shape[2] != 2 for one in own):
            return None
        found = [one for one in own if one is not None]
        spans = [torch.tensor([index, index + 1.0]).expand(*one.shape[:2], 1, 2) for index, one in enumerate(found)]
        return torch.cat([torch.cat(pair, dim=2) for pair in zip(spans, found, strict=True)])

    def media_parts(self, media: Media, most: int) -> MediaParts:
        """Cut the video into the frames that the encoder takes."""
        stride = self.clips.stride_seconds if self.clips.policy == "dense" else None
        return FrameParts(media.modality, self._frames(media), most, None if stride is None else 1 / stride)

    def _frames(self, media: Media) -> list[Image.Image]:
        if self.clips.policy == "uniform":
            return load_frames(media, fewest_frames(media, self.num_frames)).images
        if self.clips.policy == "whole":
            return load_frames(media, most=self.num_frames).images
        return load_frames_at(media, lambda duration: self.clips.starts(duration, 0, 1, media.describe())).images

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Return the image encoder's features with positions added, [B, N, D]."""
        values, mask = super().encode(self._pictures(inputs))
        positions = sinusoidal_positions(inputs["frame_number"].to(values.device), self.dim).to(values.dtype)[:, None]
        # Relative to the features of the same frame, because encoders differ in scale by orders of magnitude.
        root_mean_square = values.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return Features(values + self.position_scale * root_mean_square * math.sqrt(2) * positions, mask)

    def _pictures(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in inputs.items() if name != "frame_number"}

    def preprocessing_config(self) -> dict[str, Any]:
        own = {"clips": repr(self.clips), "position_scale": self.position_scale}
        return {**super().preprocessing_config(), **own}


class MultiViewEncoder(_PicturesEncoder):
    """Encode a mesh or point cloud as pictures from all sides (MVCNN, Su et al. 2015; PointCLIP, Zhang et al. 2022).

    image_encoder: an encoder, or `{class_path, init_args}` of one.
    render_size: side of the pictures, in pixels.
    elevation: angle of the camera over the horizon, in degrees.
    up: axis that points up.
    """

    medium = "cloud"
    file_extensions = MESH_EXTENSIONS
    fingerprint_name = "omni.encoders.nested.MultiViewEncoder"

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
        """Turn one mesh or cloud into the image encoder's inputs, with the views as clips."""
        mesh = load_mesh(media)
        return self._preprocess_pictures(render_views(mesh, self.num_views, self.render_size, self.elevation, self.up))

    def preprocessing_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("num_views", "render_size", "elevation", "up")}
        return {**super().preprocessing_config(), **own}


class SensorPictureEncoder(_PicturesEncoder):
    """Encode a depth or thermal picture as a grey one: near or warm is bright.

    image_encoder: an encoder, or `{class_path, init_args}` of one.
    modality: depth or thermal. Where the recipe's own name is another one, `kind` says which of these it is.
    options: options for the loader, where an item has none of its own: `{encoding: sun}`, `{scaling: radiometric}`; see
        `omni.media.depth.load_disparity` and `omni.media.thermal.load_thermal`.
    brightest: disparity in pixels that is white; for depth only.
    """

    fingerprint_name = "omni.encoders.nested.SensorPictureEncoder"

    def __init__(
        self,
        image_encoder: Encoder | Mapping[str, Any],
        modality: str = "depth",
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
        brightest: float = 75.0,
    ) -> None:
        self.kind = kind or modality
        if self.kind not in ("depth", "thermal"):
            raise ValueError(f"{'kind' if kind else 'modality'} is {self.kind!r}; allowed: depth, thermal")
        if brightest <= 0:
            raise ValueError(f"brightest is {brightest}; it must be above 0")
        super().__init__(image_encoder, modality, 1)
        self.options = dict(options or {})
        self.brightest = brightest
        self.file_extensions = DEPTH_EXTENSIONS if self.kind == "depth" else THERMAL_EXTENSIONS

    @property
    def medium(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.kind

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one depth or thermal picture into the image encoder's inputs."""
        return self._preprocess_pictures([self._picture(media)])

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        return self._regions_of(self._picture(media))

    def _picture(self, media: Media) -> Image.Image:
        media = media.with_defaults(self.options)
        values = load_disparity(media) / self.brightest if self.kind == "depth" else load_thermal(media)
        return Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8)).convert("RGB")

    def preprocessing_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("kind", "options", "brightest")}
        return {**super().preprocessing_config(), **own}


def sinusoidal_positions(numbers: Tensor, dim: int) -> Tensor:
    """Turn numbers [B] into [B, dim]: sines, then cosines, of wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017).

    Their root mean square is 1 / sqrt(2) where dim is even.
    """
    half = (dim + 1) // 2
    frequencies = torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(half, device=numbers.device) / half)
    angles = numbers.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]
