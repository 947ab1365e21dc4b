"""Point-BERT as ULIP-2 trained it, the 3D encoder of X-InstructBLIP.

Yu et al. 2022 (Point-BERT, arXiv:2111.14819); Xue et al. 2023 (ULIP-2, arXiv:2305.08275), with ULIP's key names.
Shapes: B clouds, P points, G groups, K points of a group, D width, E width of ULIP's space.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omni.config import from_dict
from omni.encoders.base import Encoder, Features
from omni.encoders.point_groups import farthest_points, nearest_neighbours
from omni.encoders.regions import after_whole
from omni.encoders.vision_blocks import Block
from omni.encoders.weights import find_weights, load_strictly, parse_dtype, part_of_checkpoint, read_checkpoint
from omni.media.item import Media
from omni.media.mesh import MESH_EXTENSIONS, load_points

NORM_EPSILON = 1e-5
LOCAL_WIDTH, JOINED_WIDTH = 256, 512  # inside the small network for one group (PointNet)
# ULIP's other towers in the same file, which are not used here.
UNUSED_PREFIXES = (
    "visual.",
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
    "image_projection",
    "logit_scale",
    "open_clip_model.",
)
_MOST_CLOUDS = 4  # in one pass: the points of all groups take 270 MB a layer


@dataclass(frozen=True)
class PointBertSize:
    """Size of the network; the defaults are those of ULIP-2's Point-BERT."""

    width: int = 384
    num_blocks: int = 12
    num_heads: int = 6
    group_width: int = 256
    embedding_dim: int = 512


class PointBertEncoder(Encoder):
    """Encode a cloud as one embedding in ULIP's space (512 wide, as X-InstructBLIP takes it), or as tokens of groups.

    weights: ULIP-2's checkpoint, or a folder with one such file.
    output: "embedding" = [1, 512]; "tokens" = class token and 512 groups after the last norm, [513, 384].
    num_points: points sampled from a mesh's surface or a cloud; they are centred and scaled into the unit sphere.
    num_groups, group_size: how the points are grouped; the defaults are as published.
    seed: seed of the sampling, and of the point at which farthest-point sampling starts.
    dtype: float32, float16 or bfloat16; points are always grouped in float32.
    size: size of another checkpoint in these key names; default: ULIP-2's.
    """

    medium = "cloud"
    file_extensions = MESH_EXTENSIONS
    fingerprint_name = "omni.encoders.point_bert.PointBertEncoder"
    uncounted_arguments = ("weights", "dtype", "modality")

    def __init__(
        self,
        weights: str | Path,
        output: str = "embedding",
        num_points: int = 8192,
        num_groups: int = 512,
        group_size: int = 32,
        seed: int = 0,
        dtype: str = "float32",
        size: PointBertSize | Mapping[str, Any] | None = None,
        modality: str = "point_cloud",
        licence: str | None = "BSD-3-Clause",
    ) -> None:
        super().__init__(licence=licence)
        if output not in ("embedding", "tokens"):
            raise ValueError(f"output is {output!r}; allowed: embedding, tokens")
        if not 1 <= max(num_groups, group_size) <= num_points:
            raise ValueError(f"num_points is {num_points}; it must be at least num_groups and group_size")
        shape = size if isinstance(size, PointBertSize) else from_dict(PointBertSize, size or {}, "size")
        self.modality = modality
        self.output = output
        self.num_points, self.num_groups, self.group_size = num_points, num_groups, group_size
        self.seed = seed
        self.dim = shape.embedding_dim if output == "embedding" else shape.width
        self.max_features = 1 if output == "embedding" else num_groups + 1
        path = find_weights(weights, (".safetensors", ".pth", ".pt"))
        state = _used_part(part_of_checkpoint(read_checkpoint(path), "state_dict", path))
        with torch.device("meta"):
            self.network = PointBertNetwork(shape)
        load_strictly(self.network, state, path, assign=True)
        self.network.to(parse_dtype(dtype))

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one mesh or cloud into points float32 [1, P, 3], and start [1]: the index at which sampling starts."""
        points = load_points(media, self.num_points, seed=self.seed).points
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.randint(self.num_points, (1,), generator=generator)
        return {"points": torch.from_numpy(points)[None], "start": start}

    @property
    def published_network(self) -> nn.Module:
        return self.network

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return self.max_features

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        """Return the centres of the groups, which are no larger than a point here, after the class token's whole."""
        if self.output == "embedding":
            return super().feature_regions(media, inputs)
        chosen = farthest_points(inputs["points"], self.num_groups, inputs["start"])[0]
        points = load_points(media, self.num_points, seed=self.seed, unit_sphere=False).points
        centres = torch.from_numpy(points).float()[chosen.cpu()]
        return after_whole(torch.stack([centres, centres], dim=-1), 1)[None]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode points [B, P, 3], start [B] to [B, 1, E], or to tokens [B, G + 1, D]."""
        chunks = zip(inputs["points"].split(_MOST_CLOUDS), inputs["start"].split(_MOST_CLOUDS), strict=True)
        values = torch.cat([self._encode_chunk(points.float(), start) for points, start in chunks])
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    def preprocessing_config(self) -> dict[str, object]:
        names = ("output", "num_points", "num_groups", "group_size", "seed")
        return {name: getattr(self, name) for name in names}

    def _encode_chunk(self, points: Tensor, start: Tensor) -> Tensor:
        chosen = farthest_points(points, self.num_groups, start)
        centres = points[torch.arange(len(points), device=points.device)[:, None], chosen]
        tokens = self.network.point_encoder(nearest_neighbours(points, centres, self.group_size), centres)
        return tokens if self.output == "tokens" else self.network.embed(tokens)[:, None]


class GroupEncoder(nn.Module):
    """A small PointNet, which turns the points of a group into one vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, LOCAL_WIDTH, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(JOINED_WIDTH, JOINED_WIDTH, 1),
            nn.BatchNorm1d(JOINED_WIDTH),
            nn.ReLU(),
            nn.Conv1d(JOINED_WIDTH, width, 1),
        )

    def forward(self, groups: Tensor) -> Tensor:
        """[B, G, K, 3] -> [B, G, width]; the order of a group's points does not matter."""
        local = self.first_conv(groups.flatten(0, 1).transpose(1, 2))
        whole = local.amax(dim=2, keepdim=True)
        joined = torch.cat([whole.expand_as(local), local], dim=1)
        return self.second_conv(joined).amax(dim=2).unflatten(0, groups.shape[:2])


class BlockStack(nn.Module):
    """The blocks, under the name that they have in the checkpoint; positions are added before each."""

    def __init__(self, size: PointBertSize) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(size.width, size.num_heads, 4 * size.width, has_bias=False, norm_epsilon=NORM_EPSILON)
            for _ in range(size.num_blocks)
        )

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """[B, N, D] twice -> [B, N, D]."""
        for block in self.blocks:
            tokens = block(tokens + positions)
        return tokens


class PointTransformer(nn.Module):
    """The transformer that turns groups of points into tokens."""

    def __init__(self, size: PointBertSize) -> None:
        super().__init__()
        self.encoder = GroupEncoder(size.group_width)
        self.reduce_dim = nn.Linear(size.group_width, size.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.cls_pos = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, size.width))
        self.blocks = BlockStack(size)
        self.norm = nn.LayerNorm(size.width, eps=NORM_EPSILON)

    def forward(self, groups: Tensor, centres: Tensor) -> Tensor:
        """Turn groups [B, G, K, 3], relative to their centres [B, G, 3], into [B, G + 1, D], class token first."""
        groups, centres = groups.to(self.cls_token.dtype), centres.to(self.cls_token.dtype)
        tokens = self.reduce_dim(self.encoder(groups))
        count = len(tokens)
        tokens = torch.cat([self.cls_token.expand(count, -1, -1), tokens], dim=1)
        positions = torch.cat([self.cls_pos.expand(count, -1, -1), self.pos_embed(centres)], dim=1)
        return self.norm(self.blocks(tokens, positions))


class PointBertNetwork(nn.Module):
    """The transformer and its projection into ULIP's space, with ULIP's key names."""

    def __init__(self, size: PointBertSize) -> None:
        super().__init__()
        self.point_encoder = PointTransformer(size)
        self.pc_projection = nn.Parameter(torch.zeros(2 * size.width, size.embedding_dim))

    def embed(self, tokens: Tensor) -> Tensor:
        """Project the class token, joined with the maximum over groups: tokens [B, G + 1, D] -> embeddings [B, E]."""
        return torch.cat([tokens[:, 0], tokens[:, 1:].amax(dim=1)], dim=-1) @ self.pc_projection


def _used_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    stripped = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in stripped.items() if not name.startswith(UNUSED_PREFIXES)}
