"""Encode with models of the transformers library: vision, audio, speech and video, by hub id or local folder.

Shapes: B clips, N features of a clip, D feature width.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from omni.encoders.base import Encoder, Features
from omni.encoders.huggingface_inputs import inputs_for
from omni.encoders.regions import whole_regions
from omni.encoders.towers import VisionTower
from omni.encoders.weights import check_finite, check_named_model, naming, parse_dtype
from omni.media.clips import Clips
from omni.media.item import Media
from omni.runtime.hub import check_model
from omni.runtime.pretrained import load_config, load_pretrained
from omni.runtime.quiet import quiet_about_keys, quiet_loading
from omni.starter import resolve

# Weights that a checkpoint may lack because hidden states do not depend on them.
_UNUSED_WEIGHTS = ("pooler", "head", "mask_token", "masked_spec_embed", "logit_scale")


class HuggingFaceEncoder(Encoder):
    """Encode media as hidden states of a transformers model: CLIP, SigLIP, DINOv2, Hiera, ViT, AST, CLAP, Whisper,
    wav2vec 2.0, HuBERT, VideoMAE and their kin.

    A model of two towers gives the one that sees or hears, an encoder-decoder its encoder.

    name: hub id, local folder, or `starter:NAME`.
    layers: which hidden states, as indices into those of the model (0 = embeddings); several are joined by width. The
        last one (-1) is the model's own output, after its final norm.
    keep_class_token: whether the positions before the patches (class token, registers) are features too.
    max_seconds: most seconds of sound; from a longer one, evenly spread clips are taken.
    clips: another choice of clips of a sound, see `omni.media.clips.Clips` (num_clips follows from max_seconds unless
        given), or of a video, which also needs clip_seconds; default: one clip of the whole video.
    clip_seconds: length of a video's clips.
    trim_padding: cut off positions that are padding in all clips of a batch (Whisper pads to 30 s = 1500 positions).
    dtype: float32, float16 or bfloat16.
    modality: name of the modality; default: the one that the model was made for.
    """

    fingerprint_name = "omni.encoders.huggingface.HuggingFaceEncoder"
    uncounted_arguments = ("name", "dtype", "modality", "revision")

    def __init__(
        self,
        name: str,
        layers: int | list[int] = -1,
        keep_class_token: bool = True,
        max_seconds: float = 30.0,
        clips: Clips | Mapping[str, Any] | None = None,
        clip_seconds: float | None = None,
        trim_padding: bool = True,
        dtype: str = "float32",
        modality: str | None = None,
        revision: str | None = None,
        licence: str | None = None,
    ) -> None:
        super().__init__(licence=licence)
        number_format = parse_dtype(dtype)
        check_model(resolve(name), "name", revision)
        with naming(resolve(name)):
            self.tower = _load_tower(resolve(name), number_format, revision)
            self._inputs = inputs_for(self.tower, resolve(name), max_seconds, clips, clip_seconds, revision=revision)
        check_finite(self.tower, resolve(name))
        self.modality = modality or self._inputs.modality
        self.file_extensions = self._inputs.file_extensions
        self.keep_class_token = keep_class_token
        self.trim_padding = trim_padding
        self.max_seconds = max_seconds
        self._clips = {"clips": repr(clips), "clip_seconds": clip_seconds} if clips is not None else {}
        self.layers = [layers] if isinstance(layers, int) else list(layers)
        with naming(resolve(name)):
            example = self._inputs(self._inputs.example())
            states = self._example_states(example)
        self._num_prefix = _num_prefix_tokens(self.tower.config, example, states.shape[1])
        self.dim = states.shape[2]
        num_features = states.shape[1] - (0 if keep_class_token else self._num_prefix)
        self.max_features = self._inputs.max_clips * num_features

    @classmethod
    def check_arguments(cls, arguments: Mapping[str, Any]) -> None:
        check_named_model(arguments)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        return self._inputs(media)

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        if "mask" not in inputs:
            return self.max_features // self._inputs.max_clips
        mask = inputs["mask"] if self.keep_class_token else inputs["mask"][:, self._num_prefix :]
        return _trimmed_length(mask) if self.trim_padding else mask.shape[1]

    @property
    def medium(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"image": "picture", "video": "video"}.get(self._inputs.modality, "sound")

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        num_features = self.features_per_clip(inputs)
        num_prefix = self._num_prefix if self.keep_class_token else 0
        regions = self._inputs.regions(media, self._num_patches(inputs))
        if regions is None:
            return None
        prefix = whole_regions(len(regions), num_prefix, regions.shape[2])
        return torch.cat([prefix, regions.to(prefix.dtype)], dim=1)[:, :num_features]

    def _num_patches(self, inputs: dict[str, Tensor]) -> int:
        """Count the positions of a clip, padding included, without class tokens and registers."""
        mask = inputs.get("mask")
        if mask is not None:
            return mask.shape[1] - self._num_prefix
        return self.features_per_clip(inputs) - (self._num_prefix if self.keep_class_token else 0)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode the output of the model's processor, with a `mask` [B, N] where there is padding, to [B, N, D]."""
        values = self._hidden_states(self.tower, inputs)
        mask = inputs.get("mask")
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        if not self.keep_class_token:
            values, mask = values[:, self._num_prefix :], mask[:, self._num_prefix :]
        if self.trim_padding and not mask.all():
            length = _trimmed_length(mask)
            values, mask = values[:, :length], mask[:, :length]
        return Features(values.contiguous(), mask.contiguous())

    def vision_tower(self) -> VisionTower:
        if self._inputs.modality != "image" or "mask" in self._inputs(self._inputs.example()):
            return super().vision_tower()
        return VisionTower(
            self.tower, self._inputs.processor, tuple(self.layers), self._num_prefix, self.keep_class_token
        )

    def preprocessing_config(self) -> dict[str, Any]:
        processor = json.loads(self._inputs.processor.to_json_string())
        model = self.tower.config.to_dict()
        # These entries say where a model is from, not what it computes.
        origin = ("_name_or_path", "transformers_version", "architectures", "mel_filters")
        return {
            "layers": self.layers,
            "keep_class_token": self.keep_class_token,
            "trim_padding": self.trim_padding,
            "max_seconds": self.max_seconds,
            **self._clips,
            "processor": {key: value for key, value in processor.items() if key not in origin},
            "model": {key: value for key, value in model.items() if key not in origin},
        }

    @torch.no_grad()
    def _example_states(self, example: dict[str, Tensor]) -> Tensor:
        """Return hidden states of the right shape."""
        try:
            with torch.device("meta"):  # shapes only: nothing is computed
                shapes = type(self.tower)(self.tower.config).eval()
                return self._hidden_states(shapes, {key: value.to("meta") for key, value in example.items()})
        except (NotImplementedError, RuntimeError):  # what it does depends on values (CLAP's fusion, SigLIP 2's sizes)
            return self._hidden_states(self.tower.eval(), example)

    def _hidden_states(self, tower: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
        """Return the chosen layers [B, N, D], joined by width."""
        arguments = {
            name: tensor.to(tower.dtype) if tensor.is_floating_point() else tensor
            for name, tensor in inputs.items()
            if name != "mask"
        }
        every = self.layers != [-1]
        output = tower(**arguments, output_hidden_states=every)
        states = [*output.hidden_states[:-1], output.last_hidden_state] if every else [output.last_hidden_state]
        wrong = [layer for layer in self.layers if not -len(states) <= layer < len(states)]
        if wrong and every:
            raise ValueError(f"layers {wrong} do not exist; the model has 0 (embeddings) to {len(states) - 1}")
        chosen = [_as_sequence(states[layer]) for layer in self.layers]
        counts = sorted({state.shape[1] for state in chosen})
        if len(counts) > 1:
            raise ValueError(f"layers {self.layers} have {counts} positions and cannot be joined: choose one of them")
        return torch.cat(chosen, dim=-1)


def _load_tower(name: str, dtype: torch.dtype, revision: str | None) -> PreTrainedModel:
    """Load the part of a model that takes media; the rest is freed."""
    config = load_config(name, revision=revision)
    if config.model_type == "vit_mae":
        raise ValueError(
            f"{name} is a masked autoencoder, which hides three quarters of the patches by chance at every run: "
            "load its encoder as a ViT (transformers.ViTModel.from_pretrained), save that, and name its folder here"
        )
    with quiet_loading(), quiet_about_keys():  # what is missing is an error below, and heads are not needed
        options = {"revision": revision, "dtype": dtype, "output_loading_info": True}
        model, report = load_pretrained(AutoModel, name, **options)
    model = cast(PreTrainedModel, model)
    if config.is_encoder_decoder:
        tower, prefix = model.get_encoder(), "encoder."
    else:
        parts = {"vision_config": "vision_model", "audio_config": "audio_model"}
        part = next((parts[key] for key in parts if key in config.sub_configs), None)
        tower, prefix = (model, "") if part is None else (model.get_submodule(part), f"{part}.")
    missing = sorted(
        key for key in report["missing_keys"] if key.startswith(prefix) and not any(s in key for s in _UNUSED_WEIGHTS)
    )
    if missing:
        raise ValueError(f"{name} lacks the weights {', '.join(missing[:5])}{' and more' if len(missing) > 5 else ''}")
    return cast(PreTrainedModel, tower)


def _as_sequence(state: Tensor) -> Tensor:
    """Return [B, N, D] as it is, and a map [B, D, height, width] row by row."""
    return state if state.ndim == 3 else state.flatten(2).transpose(1, 2)


def _trimmed_length(mask: Tensor) -> int:
    """Count the positions up to the last one that is real in any clip of the mask [B, N]."""
    return int(mask.any(dim=0).nonzero().max()) + 1


def _num_prefix_tokens(config: Any, inputs: dict[str, Tensor], num_positions: int) -> int:
    """Count the positions before those of the patches: class and distillation tokens, registers."""
    settings = config.to_dict()
    if config.model_type == "audio-spectrogram-transformer":
        return 2
    pixels, patch_size = inputs.get("pixel_values"), settings.get("patch_size")
    tube, patch_size = _patch_extent(patch_size, settings.get("tubelet_size"))
    if pixels is None or pixels.ndim < 4 or patch_size is None:
        return 0
    num_times = pixels.shape[1] // tube if pixels.ndim == 5 else 1
    num_patches = num_times * (pixels.shape[-2] // patch_size) * (pixels.shape[-1] // patch_size)
    return max(0, num_positions - num_patches)  # fewer positions than patches: a model that merges them, without tokens


def _patch_extent(patch_size: Any, tubelet_size: Any) -> tuple[int, int | None]:
    """Return frames and pixels of a patch: VideoMAE has `tubelet_size` 2, ViViT [2, 16, 16] and no `patch_size`."""
    if isinstance(tubelet_size, list | tuple):
        return tubelet_size[0], tubelet_size[1]
    return tubelet_size or 1, patch_size if isinstance(patch_size, int) else None
