"""One media item on its way through an encoder.

Shapes: C clips of the item, N features of a clip, D feature width.
"""

from dataclasses import dataclass

from torch import Tensor

from omni.encoders.base import Features


@dataclass(frozen=True)
class MediaInput:
    """One media item, preprocessed (`inputs`) or already encoded (`features`)."""

    modality: str
    inputs: dict[str, Tensor] | None  # the encoder's inputs, each [C, ...]
    features: Features | None  # [C, N, D] and [C, N], from the cache
    instruction: str = ""
    content_hash: str | None = None  # key in the feature cache; None = do not cache
