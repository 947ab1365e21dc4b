"""A sensor that omni does not know: acceleration (3 axes, m/s^2) and rotation (3 axes, rad/s) from a CSV file.

Shapes: C windows of one recording, T samples of a window, D feature width.
"""

import io

import numpy as np
import torch
from torch import Tensor, nn

from omni.encoders import Encoder, Features
from omni.media import Media, MediaError
from omni.previews import Curves

CHANNELS, WINDOW, RATE = 6, 128, 50  # samples, and how many a second: a window is 2.56 s
NAMES = [f"{kind} {axis}" for kind in ("acceleration (m/s²)", "rotation (rad/s)") for axis in "xyz"]


class MotionEncoder(Encoder):
    """Three strided convolutions over windows of 128 samples, trained with the adapter: nothing is pretrained."""

    modality = "motion"
    file_extensions = (".csv",)  # what the chat page lets people upload

    def __init__(self, dim: int = 64, max_windows: int = 8) -> None:
        super().__init__(trainable=True, licence="Apache-2.0")
        self.dim = dim
        self.max_features = max_windows * 16
        pairs = [(nn.Conv1d(width, dim, 8, stride=2, padding=3), nn.GELU()) for width in (CHANNELS, dim, dim)]
        self.layers = nn.Sequential(*(layer for pair in pairs for layer in pair))

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Cut one recording into windows [C, 6, T]; the last one is filled up with the recording's mean."""
        values = self._read(media)[: self.max_features // 16 * WINDOW] / 10
        padding = np.broadcast_to(values.mean(0), (-len(values) % WINDOW, CHANNELS))
        windows = np.concatenate([values, padding]).reshape(-1, WINDOW, CHANNELS)
        return {"windows": torch.from_numpy(windows.astype(np.float32)).transpose(1, 2).contiguous()}

    def preview(self, media: Media) -> Curves:
        """Show the six channels as curves, on the chat page and in reports."""
        values = self._read(media)
        return Curves(values, NAMES, len(values) / RATE, f"{len(values) / RATE:.1f} s")

    def _read(self, media: Media) -> np.ndarray:
        """Read one recording, float32 [T, 6]."""
        if media.data is not None and not isinstance(media.data, bytes):
            values = np.asarray(media.data, dtype=np.float32)
        else:
            source = io.BytesIO(media.data) if media.data is not None else str(media.path)
            try:
                values = np.loadtxt(source, delimiter=",", skiprows=1, ndmin=2, dtype=np.float32)
            except (OSError, ValueError) as error:
                raise MediaError(media.describe(), f"no CSV of numbers below one header line: {error}") from error
        if values.ndim != 2 or values.shape[1] != CHANNELS or len(values) == 0 or not np.isfinite(values).all():
            raise MediaError(media.describe(), f"expected rows of {CHANNELS} finite numbers, found {values.shape}")
        return values

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode windows [C, 6, T] to features [C, T/8, D]."""
        values = self.layers(inputs["windows"]).transpose(1, 2)
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))
