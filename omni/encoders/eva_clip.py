"""EVA-CLIP's vision transformer, the image encoder of BLIP-2, InstructBLIP and X-InstructBLIP.

Sun et al. 2023 (EVA-CLIP, arXiv:2303.15389), with the key names of LAVIS' checkpoints.
Shapes: B pictures, S side in pixels, N features (class token and patches), D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from omni.config import from_dict
from omni.encoders.base import Encoder, Features
from omni.encoders.clip_pixels import resize_and_crop, to_pixels
from omni.encoders.eva_clip_names import TRANSFORMERS_PREFIX, from_transformers, size_from_config
from omni.encoders.layers import LAST, layers_config, parse_layers, run_blocks
from omni.encoders.regions import after_whole, picture_regions
from omni.encoders.transformers_folder import is_transformers_folder, read_model_config, read_tensors
from omni.encoders.vision_blocks import Block
from omni.encoders.weights import find_weights, load_strictly, parse_dtype, part_of_checkpoint, read_checkpoint
from omni.media.image import IMAGE_EXTENSIONS, load_image
from omni.media.item import Media
from omni.starter import resolve

NORM_EPSILON = 1e-6
TRANSFORMERS_MODELS = ("instructblip", "blip-2")  # models of transformers whose vision model it is
PREFIX = "visual_encoder."  # begins the names of these weights in a checkpoint of a whole BLIP-2
# BLIP-2 leaves out the last of EVA-CLIP's 40 blocks, its final norm and its head; it takes the features of the block
# before.
UNUSED_PREFIXES = ("norm.", "fc_norm.", "head.")
_MOST_PICTURES = 32  # in one pass, which bounds its memory


@dataclass(frozen=True)
class EvaClipSize:
    """Size of the network; the defaults are those of EVA-CLIP-g/14 without its last block, as BLIP-2 uses it."""

    width: int = 1408
    num_blocks: int = 39
    num_heads: int = 16
    mlp_width: int = 6144
    patch_size: int = 14
    norm_epsilon: float = NORM_EPSILON


class EvaClipEncoder(Encoder):
    """Encode pictures as all tokens of the last block that BLIP-2 uses: 257 x 1408 at 224 pixels.

    The class token comes first; there is no final norm.

    weights: `eva_vit_g.pth`, a checkpoint of BLIP-2 that holds `visual_encoder.*`, a folder with one such file, or the
        folder of a BLIP-2 or InstructBLIP of transformers, from which only the vision model is read.
    image_size: side in pixels, a multiple of 14; if the file has positions for another side, they are interpolated
        (bicubic).
    crop: False = the whole picture, squeezed into a square, as BLIP-2 and its kin do; True = the middle square.
    layers: the layers whose tokens are the features, 0 (before the first block) to the number of blocks; several are
        joined by width. Default: the last.
    dtype: float32, float16 or bfloat16.
    size: size of another checkpoint in these key names; default: EVA-CLIP-g/14, or as a folder's `config.json` says.
    """

    medium = "picture"
    file_extensions = IMAGE_EXTENSIONS
    fingerprint_name = "omni.encoders.eva_clip.EvaClipEncoder"
    uncounted_arguments = ("weights", "dtype", "modality")

    def __init__(
        self,
        weights: str | Path,
        image_size: int = 224,
        crop: bool = False,
        layers: int | Sequence[int] = LAST,
        dtype: str = "float32",
        size: EvaClipSize | Mapping[str, Any] | None = None,
        modality: str = "image",
        licence: str | None = "MIT",
    ) -> None:
        super().__init__(licence=licence)
        folder = Path(resolve(str(weights)))
        vision_config = _vision_config(folder)
        if size is None and vision_config is not None:
            size = size_from_config(vision_config)
        shape = size if isinstance(size, EvaClipSize) else from_dict(EvaClipSize, size or {}, "size")
        if image_size < shape.patch_size or image_size % shape.patch_size:
            raise ValueError(f"image_size is {image_size}; it must be a multiple of {shape.patch_size}")
        self.modality = modality
        self.image_size = image_size
        self.crop = crop
        self.layers = parse_layers(layers, shape.num_blocks)
        self._num_blocks = shape.num_blocks
        self.dim = shape.width * len(self.layers)
        self.max_features = (image_size // shape.patch_size) ** 2 + 1
        if vision_config is not None:
            path, state = folder, from_transformers(read_tensors(folder, TRANSFORMERS_PREFIX))
        else:
            path = find_weights(weights, (".safetensors", ".pth", ".pt"))
            state = _used_part(part_of_checkpoint(read_checkpoint(path), "model", path), shape.num_blocks)
        if "pos_embed" in state and state["pos_embed"].ndim == 3:
            state["pos_embed"] = interpolate_positions(state["pos_embed"], image_size // shape.patch_size)
        with torch.device("meta"):
            self.network = EvaClipNetwork(shape, self.max_features)
        load_strictly(self.network, state, path, assign=True)
        self.network.to(parse_dtype(dtype))

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return (self.dim // len(self.layers),) * (self._num_blocks + 1)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one picture into pixels float32 [1, 3, S, S] on CLIP's scale."""
        picture = load_image(media)
        if self.crop:
            picture = resize_and_crop(picture, self.image_size)
        else:
            picture = picture.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        return {"pixels": to_pixels(picture)[None]}

    @property
    def published_network(self) -> nn.Module:
        return self.network

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return self.max_features

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        regions = picture_regions(self.preprocess, load_image(media).size, "pixels", self.max_features - 1)
        return None if regions is None else after_whole(regions, 1)[None]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode pixels [B, 3, S, S] to [B, N, D]."""
        values = torch.cat([self.network(chunk, self.layers) for chunk in inputs["pixels"].split(_MOST_PICTURES)])
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    def preprocessing_config(self) -> dict[str, object]:
        return {"image_size": self.image_size, "crop": self.crop, **layers_config(self.layers)}


class PatchEmbedding(nn.Module):
    """Squares of pixels -> tokens, by one linear map."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, stride=patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, patches, D], row by row."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class EvaClipNetwork(nn.Module):
    """The transformer, with LAVIS' key names."""

    def __init__(self, size: EvaClipSize, num_tokens: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, num_tokens, size.width))
        self.patch_embed = PatchEmbedding(size.width, size.patch_size)
        self.blocks = nn.ModuleList(
            Block(size.width, size.num_heads, size.mlp_width, has_bias=True, norm_epsilon=size.norm_epsilon)
            for _ in range(size.num_blocks)
        )

    def forward(self, pixels: Tensor, layers: Sequence[int] = LAST) -> Tensor:
        """[B, 3, S, S] -> [B, N, D]; several layers joined by width."""
        patches = self.patch_embed(pixels.to(self.pos_embed.dtype))
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed
        return run_blocks([*self.blocks], tokens, layers)


def interpolate_positions(positions: Tensor, side: int) -> Tensor:
    """Interpolate positions [1, 1 + patches, D] of a square grid to `side` x `side` patches (bicubic).

    The position of the class token stays.
    """
    old_side = round((positions.shape[1] - 1) ** 0.5)
    if old_side == side or old_side**2 != positions.shape[1] - 1:
        return positions
    grid = positions[:, 1:].float().unflatten(1, (old_side, old_side)).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)], dim=1)


def _vision_config(folder: Path) -> dict[str, Any] | None:
    """Read the settings of the vision model in a folder of transformers; None for anything else.

    Raises:
        ValueError: the vision model does not compute what EVA-CLIP does.
    """
    config = read_model_config(folder) if is_transformers_folder(folder) else {}
    if config.get("model_type") not in TRANSFORMERS_MODELS:
        return None
    vision_config = config.get("vision_config") or {}
    for key, expected in {"hidden_act": "gelu", "qkv_bias": True}.items():
        if vision_config.get(key, expected) != expected:
            raise ValueError(f"{folder}: vision_config.{key} is {vision_config[key]!r}; EVA-CLIP has {expected!r}")
    return vision_config


def _used_part(state: dict[str, Tensor], num_blocks: int) -> dict[str, Tensor]:
    if any(name.startswith(PREFIX) for name in state):
        state = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    unused = (f"blocks.{num_blocks}.", *UNUSED_PREFIXES)
    return {name: tensor for name, tensor in state.items() if not name.startswith(unused)}
