"""YAMNet: a MobileNet over log-mel patches, trained on AudioSet's 521 classes of sound.

Source: the YAMNet of TensorFlow's model garden (`params.py`, `features.py`), whose settings are the defaults here.
Shapes: C patches of a sound, F frames, M mel bands, N features, D feature width.
"""

import csv
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omni.encoders.base import Features
from omni.encoders.log_mel import LogMel
from omni.encoders.onnx_encoder import OnnxEncoder
from omni.encoders.regions import mel_edges, sound_regions
from omni.media.clips import Clips
from omni.media.item import Media
from omni.media.sound import load_sound

PATCH_FRAMES = 96  # 0.96 s
TIME_STEPS, BANDS = 3, 2  # positions of the last feature map of a patch: 0.32 s each, low and high pitch
SOUND_EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")


class YamNet(OnnxEncoder):
    """Encode a sound in patches of 0.96 s: 3 steps of time x 2 of pitch (in this order) before pooling, each 1024 wide.

    weights: folder of the starter asset, or its `.onnx` file: input `audio` [C, 1, 96, 64] (log-mel), outputs
        `features` [C, 1024, 3, 2] and `class_scores` [C, 521].
    max_seconds: patches of a longer sound are spread evenly over it, so that the end counts as much as the start.
    clips: another choice of patches, see `omni.media.clips.Clips`; num_clips is that of max_seconds unless given.

    Sounds may have any length: one shorter than a patch is filled up with silence, and the mask says which features
    hold sound. At least the first step of time is always real.
    """

    medium = "sound"
    fingerprint_name = "omni.encoders.yamnet.YamNet"
    uncounted_arguments = ("weights", "modality")

    def __init__(
        self,
        weights: str | Path,
        max_seconds: float = 9.6,
        clips: Clips | Mapping[str, Any] | None = None,
        modality: str = "sound",
        licence: str | None = "Apache-2.0",
    ) -> None:
        super().__init__(
            weights,
            modality,
            output="features",
            layout="channels_first",
            file_extensions=SOUND_EXTENSIONS,
            licence=licence,
        )
        self.log_mel = LogMel()
        self.patch_hop = PATCH_FRAMES * self.log_mel.hop  # samples between the beginnings of patches
        self.patch_length = (PATCH_FRAMES - 1) * self.log_mel.hop + self.log_mel.window  # samples that a patch sees
        num_patches = int(max_seconds * self.log_mel.sampling_rate / self.patch_hop)
        if num_patches < 1:
            raise ValueError(f"max_seconds is {max_seconds}; it must be at least one patch, 0.96 s")
        self.clips = Clips.parse(clips, default=Clips("dense", num_patches))
        self.max_patches = self.clips.most
        self.max_features = self.max_patches * TIME_STEPS * BANDS

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one sound into audio [C, 1, 96, 64] (log-mel patches) and a mask [C, 6]."""
        samples = load_sound(media, self.log_mel.sampling_rate).samples
        patches, real = zip(*map(self._patch, self._chosen_parts(samples, media.describe())), strict=True)
        return {
            "audio": torch.from_numpy(np.stack(patches))[:, None],
            "mask": torch.from_numpy(np.repeat(np.stack(real), BANDS, axis=1)),
        }

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor:
        rate = self.log_mel.sampling_rate
        starts = self._starts(load_sound(media, rate).samples, media.describe())
        edges = [step * self.patch_hop / TIME_STEPS / rate for step in range(TIME_STEPS + 1)]
        bands = mel_edges(self.log_mel.lowest, self.log_mel.highest, BANDS)
        return sound_regions([start / rate for start in starts], list(itertools.pairwise(edges)), bands)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode audio [B, 1, 96, 64] with mask [B, 6] to [B, 6, 1024]."""
        return super().encode(inputs)

    def classify(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return logits [B, 521] of each patch that `preprocess` gave, in the order of `label_names`."""
        return self.run(inputs, ["class_scores"])[0]

    def label_probabilities(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the mean over patches of the probability of each class, [521]; classes do not exclude each other."""
        return self.classify(inputs).float().sigmoid().mean(0)

    def label_names(self) -> list[str]:
        """Read the 521 names of AudioSet's classes from the class map next to the graph."""
        with (self._graph.parent / "class_map.csv").open(encoding="utf-8", newline="") as file:
            return [row["display_name"] for row in csv.DictReader(file)]

    def preprocessing_config(self) -> dict[str, object]:
        return {**super().preprocessing_config(), "clips": repr(self.clips), "log_mel": repr(self.log_mel)}

    def _chosen_parts(self, samples: np.ndarray, name: str) -> list[np.ndarray]:
        """Return the samples of each patch; those at the end may be short."""
        starts = self._starts(samples, name)
        return [samples[round(start) : round(start) + self.patch_length] for start in starts]

    def _starts(self, samples: np.ndarray, name: str) -> list[float]:
        """Return the sample at which each patch begins."""
        # A tail that fills less than half a step of time would only add a patch of silence.
        shortest_tail = self.patch_hop // TIME_STEPS // 2
        return self.clips.starts(len(samples), self.patch_hop, self.log_mel.sampling_rate, name, shortest_tail)

    def _patch(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn samples into log-mel [F, M], and say which steps of time [3] begin within the sound."""
        filled = np.pad(part, (0, self.patch_length - len(part)))
        starts = np.arange(TIME_STEPS) * self.patch_hop // TIME_STEPS
        return self.log_mel(filled), starts < max(1, len(part))
