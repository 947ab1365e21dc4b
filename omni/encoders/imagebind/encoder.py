"""Encode one modality with ImageBind.

Shapes: B items or clips, S clips of one item, N tokens, D width of a trunk, E width of the joint space.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from omni.encoders.base import Encoder, Features
from omni.encoders.imagebind import preprocess
from omni.encoders.imagebind.network import load_imagebind
from omni.encoders.imagebind.sizes import ImageBindSizes
from omni.encoders.imagebind.stems import CONTEXT_LENGTH, IMU_PATCH, IMU_SAMPLES, PATCH, VISION_PATCH, audio_grid
from omni.encoders.imagebind.stems import IMAGE_SIZE as SIZE
from omni.encoders.imagebind.tokenizer import ClipTokenizer
from omni.encoders.layers import LAST, layers_config, parse_layers
from omni.encoders.regions import after_whole, picture_regions
from omni.encoders.weights import find_weights, parse_dtype
from omni.media.clips import Clips
from omni.media.depth import DEPTH_EXTENSIONS
from omni.media.frames import VIDEO_EXTENSIONS
from omni.media.image import IMAGE_EXTENSIONS, load_image
from omni.media.imu import IMU_EXTENSIONS
from omni.media.item import Media
from omni.media.sound import SOUND_EXTENSIONS
from omni.media.text import load_text
from omni.media.thermal import THERMAL_EXTENSIONS

LICENCE = "CC-BY-NC-SA-4.0"  # licence of the published weights
_MOST_CHARACTERS = 20_000  # longest text that is taken; 77 of its tokens are read
_MOST_CLIPS = 32  # in one pass through the trunk, which bounds its memory: a video alone has 15 views

_TRUNK_OF = {
    "image": "vision",
    "video": "vision",
    "sound": "audio",
    "audio": "audio",
    "depth": "depth",
    "thermal": "thermal",
    "imu": "imu",
    "text": "text",
}
_MEDIUM_OF = {
    "image": "picture",
    "video": "video",
    "sound": "sound",
    "audio": "sound",
    "depth": "depth",
    "thermal": "thermal",
    "imu": "imu",
}
_NUM_TOKENS = {
    "vision": (SIZE // VISION_PATCH) ** 2 + 1,
    "audio": audio_grid()[0] * audio_grid()[1] + 1,
    "depth": (SIZE // PATCH) ** 2 + 1,
    "thermal": (SIZE // PATCH) ** 2 + 1,
    "imu": IMU_SAMPLES // IMU_PATCH + 1,
    "text": CONTEXT_LENGTH,
}
_NUM_CLIPS = {"video": 5, "sound": 3, "audio": 3, "imu": 1}  # as published
_EXTENSIONS = {
    "image": IMAGE_EXTENSIONS,
    "video": VIDEO_EXTENSIONS,
    "sound": SOUND_EXTENSIONS,
    "depth": DEPTH_EXTENSIONS,
    "thermal": THERMAL_EXTENSIONS,
    "imu": IMU_EXTENSIONS,
    "text": (".txt",),
}


class ImageBindEncoder(Encoder):
    """Encode media with one trunk of ImageBind: token features for an adapter, or the embedding in the joint space.

    weights: the published `imagebind_huge.pth`, or a folder with one such file. All keys of all six trunks are
        checked; only this modality's trunk is kept.
    modality: image, video, sound (or audio), depth, thermal, imu or text. Where the recipe's own name is another one,
        `kind` says which of these it is.
    output: "tokens" = the trunk's output, [clips, N, width of the trunk], class token first; "embedding" = one
        feature per item in the joint space, the mean over its clips.
    normalize: embeddings of unit length; False = as published, times the modality's logit scale.
    num_clips: most clips of an item, each of 2 s (imu: 5 s), evenly spread; default: 5 for a video (each in three
        crops), 3 for a sound, 1 for an imu.
    clips: another choice of clips, see `omni.media.clips.Clips`; num_clips is the one above unless given.
    options: options for the loader of media that have none of their own: `{encoding: sun, sensor: kv2}` for depth,
        `{scaling: radiometric}` for thermal, `{acceleration_unit: g}` for imu, `{start: 0, end: 10}` for all with time.
    layers: for the output "tokens", the layers of the trunk that give them, 0 (before the first block) to the number of
        blocks; several are joined by width. Default: the last.
    dtype: number format of the trunk: float32, float16 or bfloat16. Embeddings are always float32.
    vocabulary: CLIP's `bpe_simple_vocab_16e6.txt.gz`, needed for text only.
    sizes: sizes of another checkpoint in the published key names; default: `imagebind_huge`.
    """

    fingerprint_name = "omni.encoders.imagebind.encoder.ImageBindEncoder"
    uncounted_arguments = ("weights", "modality", "dtype", "vocabulary")

    def __init__(
        self,
        weights: str | Path,
        modality: str = "image",
        kind: str | None = None,
        output: str = "tokens",
        normalize: bool = True,
        num_clips: int | None = None,
        layers: int | Sequence[int] = LAST,
        clips: Clips | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        dtype: str = "float32",
        vocabulary: str | Path | None = None,
        sizes: ImageBindSizes | Mapping[str, Any] | None = None,
        licence: str | None = LICENCE,
    ) -> None:
        super().__init__(licence=licence)
        self.kind = _one_of("kind" if kind else "modality", kind or modality, tuple(_TRUNK_OF))
        self.output = _one_of("output", output, ("tokens", "embedding"))
        self.modality = modality
        self.normalize = normalize
        self.trunk = _TRUNK_OF[self.kind]
        if self.kind not in _NUM_CLIPS and (num_clips not in (None, 1) or clips is not None):
            raise ValueError(f"num_clips and clips are for {', '.join(_NUM_CLIPS)}; {self.kind} has one clip")
        most = _NUM_CLIPS.get(self.kind, 1) if num_clips is None else num_clips
        self.clips = Clips.parse(clips, default=Clips("uniform", most))
        self.options = dict(options or {})
        self._vocabulary = vocabulary
        self.file_extensions = _EXTENSIONS.get("sound" if self.kind == "audio" else self.kind, ())
        path = find_weights(weights, (".safetensors", ".pth", ".pt"))
        self.network = load_imagebind(path, ImageBindSizes.parse(sizes), [self.trunk], parse_dtype(dtype))
        trunk = self.network.sizes.trunk(self.trunk)
        self.layers = parse_layers(layers, trunk.num_blocks)
        if output == "embedding" and self.layers != LAST:
            raise ValueError(f"layers is {list(self.layers)}, but embeddings are of the last: leave it out")
        views = self.clips.most * (preprocess.VIEWS_PER_CLIP if self.kind == "video" else 1)
        is_embedding = output == "embedding"
        self.dim = self.network.sizes.embedding_dim if is_embedding else trunk.width * len(self.layers)
        self.max_features = 1 if is_embedding else views * _NUM_TOKENS[self.trunk]

    @cached_property
    def tokenizer(self) -> ClipTokenizer:
        """The tokenizer of CLIP, for text. Raises ValueError if there is no vocabulary."""
        if self._vocabulary is None:
            raise ValueError(
                "ImageBind's text trunk needs vocabulary: the path of CLIP's bpe_simple_vocab_16e6.txt.gz, which lies "
                "next to ImageBind's code"
            )
        return ClipTokenizer(self._vocabulary)

    @property
    def carries_logit_scale(self) -> bool:
        """See `Encoder`: embeddings as published do, also those of pictures and videos, whose scale is 1."""
        return self.output == "embedding" and not self.normalize

    @property
    def layer_widths(self) -> tuple[int, ...]:
        if self.output == "embedding":
            return ()
        trunk = self.network.sizes.trunk(self.trunk)
        return (trunk.width,) * (trunk.num_blocks + 1)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one item into `clips` [S, ...] and, for sound, imu and text, `mask` [S, N]; for embeddings only into
        `clips` [1, S, ...].

        Text is UTF-8, as bytes or in a file.
        """
        clips, mask = self._clips(media.with_defaults(self.options))
        if self.output == "embedding":
            return {"clips": clips[None]}
        return {"clips": clips} if mask is None else {"clips": clips, "mask": mask}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return 1 if self.output == "embedding" else _NUM_TOKENS[self.trunk]

    @property
    def medium(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _MEDIUM_OF.get(self.kind)

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        """See `Encoder`; not known of the crops of videos and of one-channel pictures."""
        if self.output == "embedding" or self.kind != "image":
            return super().feature_regions(media, inputs)
        size = load_image(media).size
        regions = picture_regions(self.preprocess, size, "clips", _NUM_TOKENS["vision"] - 1)
        return None if regions is None else after_whole(regions, 1)[None]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode the output of `preprocess` to [B, N, D], or to embeddings [B, 1, E]."""
        clips = inputs["clips"]
        if self.output == "embedding":
            values = self.embed(clips)[:, None]
        else:
            values = torch.cat(
                [self.network.tokens(self.trunk, chunk, self.layers) for chunk in clips.split(_MOST_CLIPS)]
            )
        mask = inputs.get("mask")
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        return Features(values, mask)

    @torch.no_grad()
    def embed(self, clips: Tensor) -> Tensor:
        """Embed items of clips [B, S, ...] -> float32 [B, E]: the mean over the clips' scaled embeddings."""
        rows = [self.network.embed(self.trunk, chunk) for chunk in clips.flatten(0, 1).split(_MOST_CLIPS)]
        mean = torch.cat(rows).unflatten(0, clips.shape[:2]).mean(dim=1)
        return functional.normalize(mean, dim=-1) if self.normalize else mean

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts with the text trunk, the only one that can -> float32 [B, E]."""
        assert self.trunk == "text", self.trunk
        device = next(self.parameters()).device
        return self.embed(self.tokenizer(texts)[:, None].to(device))

    def preprocessing_config(self) -> dict[str, Any]:
        names = ("kind", "output", "normalize", "options")
        plain = {name: getattr(self, name) for name in names}
        return {**plain, "clips": repr(self.clips), **layers_config(self.layers)}

    def _clips(self, media: Media) -> tuple[Tensor, Tensor | None]:
        if self.trunk == "audio":
            return preprocess.sound_clips(media, self.clips)
        if self.kind == "video":
            return preprocess.video_clips(media, self.clips), None
        if self.kind == "imu":
            return preprocess.imu_clips(media, self.clips)
        if self.kind == "text":
            token_ids = self.tokenizer([load_text(media, _MOST_CHARACTERS)])
            return token_ids, torch.arange(CONTEXT_LENGTH) <= token_ids.argmax(dim=1, keepdim=True)
        load = {
            "image": preprocess.image_clips,
            "depth": preprocess.depth_clips,
            "thermal": preprocess.thermal_clips,
        }[self.kind]
        return load(media), None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return value
