"""Sizes of ImageBind's six trunks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omni.config import from_dict

TRUNKS = ("vision", "text", "audio", "depth", "thermal", "imu")


@dataclass(frozen=True)
class TrunkSize:
    """Size of one trunk."""

    width: int
    num_blocks: int
    num_heads: int

    def __post_init__(self) -> None:
        if min(self.width, self.num_blocks, self.num_heads) < 1 or self.width % self.num_heads:
            raise ValueError(f"{self}: all must be at least 1, and num_heads must divide width")


@dataclass(frozen=True)
class ImageBindSizes:
    """Sizes of all trunks; the defaults are those of the published `imagebind_huge` (arXiv:2305.05665)."""

    vision: TrunkSize = TrunkSize(1280, 32, 16)
    text: TrunkSize = TrunkSize(1024, 24, 16)
    audio: TrunkSize = TrunkSize(768, 12, 12)
    depth: TrunkSize = TrunkSize(384, 12, 8)
    thermal: TrunkSize = TrunkSize(768, 12, 12)
    imu: TrunkSize = TrunkSize(512, 6, 8)
    embedding_dim: int = 1024

    def trunk(self, name: str) -> TrunkSize:
        """Return the size of one of `TRUNKS`."""
        return getattr(self, name)

    @classmethod
    def parse(cls, value: "ImageBindSizes | Mapping[str, Any] | None") -> "ImageBindSizes":
        """Read sizes from a recipe: `{vision: {width: 64, num_blocks: 2, num_heads: 4}, ..., embedding_dim: 40}`.

        What is left out is as published. Raises ValueError for an unknown key.
        """
        return value if isinstance(value, ImageBindSizes) else from_dict(cls, value or {}, "sizes")
