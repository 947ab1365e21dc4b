"""How large ImageBind's six trunks are."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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
        """The size of one of `TRUNKS`."""
        return getattr(self, name)

    @classmethod
    def parse(cls, value: "ImageBindSizes | Mapping[str, Any] | None") -> "ImageBindSizes":
        """Sizes from a recipe: `{vision: {width: 64, num_blocks: 2, num_heads: 4}, ..., embedding_dim: 40}`; what is
        left out is as published. Raises ValueError for an unknown key."""
        if value is None or isinstance(value, ImageBindSizes):
            return value or cls()
        allowed = [field.name for field in fields(cls)]
        unknown = sorted(set(value) - set(allowed))
        if unknown:
            raise ValueError(f"sizes: unknown {', '.join(unknown)}; allowed: {', '.join(allowed)}")
        try:
            sizes: dict[str, Any] = {name: TrunkSize(**value[name]) for name in TRUNKS if name in value}
        except TypeError as error:
            raise ValueError(f"sizes: each trunk takes width, num_blocks and num_heads ({error})") from error
        return cls(**sizes, embedding_dim=value.get("embedding_dim", cls.embedding_dim))
