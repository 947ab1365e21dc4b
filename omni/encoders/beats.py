"""BEATs, the sound encoder of X-InstructBLIP.

Chen et al. 2022 (BEATs, arXiv:2212.09058), with the key names of its published checkpoints.
Shapes: C windows of one sound, B windows of a batch, F frames, M mel bands, N tokens, D width.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omni.encoders.base import Encoder, Features
from omni.encoders.beats_network import PATCH, BeatsNetwork, BeatsSize
from omni.encoders.kaldi import LOWEST, SAMPLING_RATE, filter_banks, num_frames
from omni.encoders.layers import LAST, layers_config, parse_layers
from omni.encoders.regions import mel_edges, sound_regions
from omni.encoders.sound_windows import spread_windows
from omni.encoders.weights import find_weights, load_strictly, parse_dtype, part_of_checkpoint, read_checkpoint
from omni.media.clips import Clips
from omni.media.item import Media
from omni.media.sound import SOUND_EXTENSIONS, load_sound

NUM_BANDS = 128
WINDOW_FRAMES = 512  # as X-InstructBLIP cuts sounds: 5.12 s
FBANK_MEAN, FBANK_DEVIATION = 15.41663, 6.55582  # over AudioSet, for samples on the scale of 16 bits
SAMPLE_SCALE = 2**15
FRAMES_PER_SECOND = 100
UNUSED_PREFIXES = ("predictor.",)  # the classifier of fine-tuned checkpoints
_MOST_WINDOWS = 16  # in one pass, which bounds its memory


class BeatsEncoder(Encoder):
    """Encode a sound in windows of 5.12 s: 32 steps of 0.16 s x 8 bands (in this order), each 768 wide.

    weights: a published checkpoint such as `BEATs_iter3_plus_AS2M.pt`, or a folder with one such file. The settings in
        the file are used; a file of weights alone is taken to have the published ones.
    max_seconds: most seconds of sound; default: two windows, as X-InstructBLIP was trained. Windows of a longer sound
        are spread evenly over it.
    clips: another choice of windows, see `omni.media.clips.Clips`; num_clips is that of max_seconds unless given.
    layers: the layers whose tokens are the features, 0 (before the first block) to the number of blocks; several are
        joined by width. Default: the last.
    dtype: float32, float16 or bfloat16.
    A shorter window is filled up with zeros, as published, and the mask says which features hold sound.
    """

    medium = "sound"
    file_extensions = SOUND_EXTENSIONS
    fingerprint_name = "omni.encoders.beats.BeatsEncoder"
    uncounted_arguments = ("weights", "dtype", "modality")

    def __init__(
        self,
        weights: str | Path,
        max_seconds: float = 10.24,
        layers: int | Sequence[int] = LAST,
        clips: Clips | Mapping[str, Any] | None = None,
        dtype: str = "float32",
        modality: str = "sound",
        licence: str | None = "MIT",
    ) -> None:
        super().__init__(licence=licence)
        num_windows = int(max_seconds * FRAMES_PER_SECOND / WINDOW_FRAMES + 1e-6)
        if num_windows < 1:
            raise ValueError(f"max_seconds is {max_seconds}; it must be at least one window, 5.12 s")
        self.clips = Clips.parse(clips, default=Clips("dense", num_windows))
        self.modality = modality
        path = find_weights(weights, (".safetensors", ".pt", ".pth"))
        checkpoint = read_checkpoint(path)
        size = BeatsSize.from_settings(_settings(checkpoint), path)
        state = part_of_checkpoint(_without_settings(checkpoint), "model", path)
        state = {name: tensor for name, tensor in state.items() if not name.startswith(UNUSED_PREFIXES)}
        with torch.device("meta"):
            self.network = BeatsNetwork(size)
        load_strictly(self.network, state, path, assign=True)
        self.network.to(parse_dtype(dtype))
        self.layers = parse_layers(layers, size.num_blocks)
        self._num_blocks = size.num_blocks
        self.dim = size.width * len(self.layers)
        self.max_features = self.clips.most * (WINDOW_FRAMES // PATCH) * (NUM_BANDS // PATCH)

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return (self.dim // len(self.layers),) * (self._num_blocks + 1)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one sound into filter_banks float32 [C, 512, 128], normalised, and a mask [C, 256]."""
        samples = load_sound(media, SAMPLING_RATE).samples
        bands = (filter_banks(samples * SAMPLE_SCALE, NUM_BANDS) - FBANK_MEAN) / (2 * FBANK_DEVIATION)
        # A tail of less than a patch would only add a window of zeros.
        windows = spread_windows(bands, WINDOW_FRAMES, self.clips, FRAMES_PER_SECOND, media.describe(), PATCH)
        filled = [np.pad(window, ((0, WINDOW_FRAMES - len(window)), (0, 0))) for window in windows]
        starts = np.arange(WINDOW_FRAMES // PATCH) * PATCH
        mask = np.stack([np.repeat(starts < len(window), NUM_BANDS // PATCH) for window in windows])
        return {"filter_banks": torch.from_numpy(np.stack(filled)), "mask": torch.from_numpy(mask)}

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor:
        frames = num_frames(len(load_sound(media, SAMPLING_RATE).samples))
        starts = self.clips.starts(frames, WINDOW_FRAMES, FRAMES_PER_SECOND, media.describe(), PATCH)
        steps = range(0, WINDOW_FRAMES, PATCH)
        spans = [(step / FRAMES_PER_SECOND, (step + PATCH) / FRAMES_PER_SECOND) for step in steps]
        bands = mel_edges(LOWEST, SAMPLING_RATE / 2, NUM_BANDS // PATCH)
        return sound_regions([start / FRAMES_PER_SECOND for start in starts], spans, bands)

    @property
    def published_network(self) -> nn.Module:
        return self.network

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return inputs["mask"].shape[1]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode filter_banks [B, F, M] with mask [B, N] to [B, N, D]."""
        values = torch.cat([self.network(chunk, self.layers) for chunk in inputs["filter_banks"].split(_MOST_WINDOWS)])
        return Features(values, inputs["mask"])

    def preprocessing_config(self) -> dict[str, object]:
        return {"clips": repr(self.clips), **layers_config(self.layers)}


def _settings(checkpoint: Any) -> dict[str, Any]:
    settings = checkpoint.get("cfg", {}) if isinstance(checkpoint, dict) else {}
    return dict(settings)


def _without_settings(checkpoint: Any) -> Any:
    return {key: value for key, value in checkpoint.items() if key != "cfg"} if isinstance(checkpoint, dict) else None
