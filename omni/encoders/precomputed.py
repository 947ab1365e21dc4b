"""Take ready-made embeddings in place of an encoder.

Shapes: N features of an item, D feature width.
"""

import torch
from torch import Tensor

from omni.encoders.base import Encoder, Features
from omni.encoders.regions import grid_regions
from omni.media.errors import MediaError
from omni.media.features import FEATURE_EXTENSIONS, load_features
from omni.media.item import Media


class PrecomputedFeatures(Encoder):
    """Take features that come with the data (`features` of a media item): arrays, or rows of `.npy` or `.safetensors`
    files.

    dim: width of every feature.
    max_features: most features that an item may have; more is an error.
    """

    file_extensions = FEATURE_EXTENSIONS
    fingerprint_name = "omni.encoders.precomputed.PrecomputedFeatures"

    def __init__(self, modality: str, dim: int, max_features: int = 1, licence: str | None = None) -> None:
        super().__init__(licence=licence)
        self.modality = modality
        self.dim = dim
        self.max_features = max_features

    def media_of_file(self, path: str, modality: str) -> Media:
        """Return a file of features as a media item; see `Encoder`."""
        return Media(modality, features=path)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Read the features [1, N, D] float32 of one item.

        Raises MediaError if they cannot be read, are not `dim` wide or are more than `max_features`.
        """
        values = load_features(media)
        num_features, width = values.shape
        if width != self.dim:
            raise MediaError(media.describe(), f"features are {width} wide, but this model takes width {self.dim}")
        if num_features > self.max_features:
            raise MediaError(
                media.describe(),
                f"holds {num_features} features, but max_features is {self.max_features}; raise it or give a `row`",
            )
        return {"features": torch.from_numpy(values)[None]}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return inputs["features"].shape[1]

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor:
        return grid_regions(range(inputs["features"].shape[1] + 1))[None]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Return the features [B, N, D] as they are, all real."""
        values = inputs["features"]
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    def preprocessing_config(self) -> dict[str, object]:
        return {"modality": self.modality, "dim": self.dim}
