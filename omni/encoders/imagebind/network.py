"""ImageBind (Girdhar et al. 2023, arXiv:2305.05665): six trunks into one space, with the checkpoint's key names.

Shapes: B clips, N tokens, D width of a trunk, E width of the space.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from omni.encoders.imagebind.blocks import BLOCK_NORM_EPSILON, Trunk
from omni.encoders.imagebind.sizes import TRUNKS, ImageBindSizes
from omni.encoders.imagebind.stems import CLIP_SHAPES, build_preprocessor
from omni.encoders.layers import LAST
from omni.encoders.weights import check_keys, load_strictly, read_state_dict

LARGEST_LOGIT_SCALE = 100.0
_WITH_EXTRA_KEY = ("audio", "depth", "thermal", "imu")


class LogitScale(nn.Module):
    """Multiply by exp(log_logit_scale), at most 100; learned for text, fixed for the others."""

    log_logit_scale: Tensor

    def __init__(self, learned: bool) -> None:
        super().__init__()
        if learned:
            self.log_logit_scale = nn.Parameter(torch.empty(()))
        else:
            self.register_buffer("log_logit_scale", torch.empty(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.log_logit_scale.float().exp().clamp(max=LARGEST_LOGIT_SCALE) * embeddings


class TextHead(nn.Module):
    """The head of text, which is named otherwise in the checkpoint."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.proj = layers

    def forward(self, pooled: Tensor) -> Tensor:
        return self.proj(pooled)


class ImageBindNetwork(nn.Module):
    """The chosen trunks with all that belongs to them; `trunks` are names from `TRUNKS`."""

    def __init__(self, sizes: ImageBindSizes, trunks: Sequence[str] = TRUNKS) -> None:
        super().__init__()
        self.sizes = sizes
        widths = {name: sizes.trunk(name).width for name in trunks}
        self.modality_preprocessors = nn.ModuleDict(
            {name: build_preprocessor(name, width) for name, width in widths.items()}
        )
        self.modality_trunks = nn.ModuleDict({name: _build_trunk(name, sizes) for name in trunks})
        self.modality_heads = nn.ModuleDict(
            {name: _build_head(name, width, sizes.embedding_dim) for name, width in widths.items()}
        )
        self.modality_postprocessors = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Identity(), nn.Identity() if name == "vision" else LogitScale(name == "text"))
                for name in trunks
            }
        )

    def stem(self, trunk: str, clips: Tensor) -> Tensor:
        """Turn clips [B, *CLIP_SHAPES[trunk]] (stills [B, 3, 224, 224]) into the tokens before the trunk [B, N, D].

        Raises ValueError for clips of another shape.
        """
        expected = CLIP_SHAPES[trunk]
        is_still = trunk == "vision" and clips.ndim == 4 and tuple(clips.shape[1:]) == (expected[0], *expected[2:])
        if tuple(clips.shape[1:]) != expected and not is_still:
            stills = " or [B, 3, 224, 224] for stills" if trunk == "vision" else ""
            raise ValueError(f"{trunk} takes clips [B, {', '.join(map(str, expected))}]{stills}, got {[*clips.shape]}")
        dtype = next(self.modality_trunks[trunk].parameters()).dtype
        return self.modality_preprocessors[trunk](clips.to(dtype) if clips.is_floating_point() else clips)

    def tokens(self, trunk: str, clips: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        """Run the trunk on clips -> [B, N, D]; the class token (for text: the begin token) is the first.

        Several layers are joined by width.
        """
        return self.modality_trunks[trunk](self.stem(trunk, clips), layers)

    def head(self, trunk: str, clips: Tensor) -> Tensor:
        """Return the projected class token (for text: the end token) of clips [B, E], neither normalised nor scaled."""
        tokens = self.stem(trunk, clips)
        if trunk == "text":
            position = clips.argmax(dim=1)  # the end token has the largest id
            # Nothing looks ahead, so what stands behind the last text's end is left out.
            tokens = tokens[:, : int(position.max()) + 1]
        else:
            position = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        pooled = self.modality_trunks[trunk].at(tokens, position)  # pyright: ignore[reportCallIssue]
        return self.modality_heads[trunk](pooled)

    def embed(self, trunk: str, clips: Tensor) -> Tensor:
        """Embed clips as published, [B, E] float32: unit length times the trunk's logit scale."""
        unit = functional.normalize(self.head(trunk, clips).float(), dim=-1)
        return self.modality_postprocessors[trunk](unit)


def load_imagebind(
    path: Path, sizes: ImageBindSizes, trunks: Sequence[str], dtype: torch.dtype = torch.float32
) -> ImageBindNetwork:
    """Load the chosen trunks from a checkpoint of all six; the rest of the file is not read into memory.

    Raises ValueError unless the file holds exactly the keys and shapes of all six trunks.
    """
    state = read_state_dict(path)
    with torch.device("meta"):
        whole, network = ImageBindNetwork(sizes), ImageBindNetwork(sizes, trunks)
    check_keys(whole, state, path)
    chosen = {name: state[name] for name in network.state_dict()}
    load_strictly(network, chosen, path, assign=True)
    return network.to(dtype)


def _build_trunk(name: str, sizes: ImageBindSizes) -> Trunk:
    return Trunk(
        sizes.trunk(name),
        pre_norm=name == "vision",
        extra_key=name in _WITH_EXTRA_KEY,
        is_causal=name == "text",
    )


def _build_head(name: str, width: int, embedding_dim: int) -> nn.Module:
    norm = nn.LayerNorm(width, eps=BLOCK_NORM_EPSILON)
    projection = nn.Linear(width, embedding_dim, bias=False)
    if name == "text":
        return TextHead(nn.Sequential(norm, projection))
    # Layers without weights (choice of the class token, and dropout for IMU) keep their places, so the keys fit.
    between = [nn.Identity()] * (2 if name == "imu" else 1)
    return nn.Sequential(norm, *between, projection)
