"""Compute log-mel spectrograms as the networks of the AudioSet family take them.

Shapes: T samples, F frames, M mel bands, K bins of the Fourier transform.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class LogMel:
    """Settings of a log-mel spectrogram; the defaults are YAMNet's (`params.py` of its release)."""

    sampling_rate: int = 16000  # Hz
    window: int = 400  # samples; 25 ms
    hop: int = 160  # samples; 10 ms
    fft_size: int = 512  # samples; the window is filled up with zeros
    num_bands: int = 64
    lowest: float = 125.0  # Hz, lower edge of the first band
    highest: float = 7500.0  # Hz, upper edge of the last band
    offset: float = 0.001  # added to the magnitudes before the logarithm

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Return log(magnitude in mel bands + offset) of samples, float32 [T] -> [F, M]; frames begin at sample 0.

        F = 1 + (T - window) // hop; T must be at least `window`.
        """
        if len(samples) < self.window:
            raise ValueError(f"a spectrogram needs at least {self.window} samples, got {len(samples)}")
        frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), self.window)[:: self.hop]
        magnitudes = np.abs(np.fft.rfft(frames * self._hann_window, self.fft_size))
        return np.log(magnitudes @ self._filters + self.offset).astype(np.float32)

    @cached_property
    def _hann_window(self) -> np.ndarray:
        """The periodic form, whose shifted copies add up to a constant."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)

    @cached_property
    def _filters(self) -> np.ndarray:
        frequencies = np.linspace(0.0, self.sampling_rate / 2, self.fft_size // 2 + 1)
        return mel_filters(frequencies, self.num_bands, self.lowest, self.highest)


def mel_filters(frequencies: np.ndarray, num_bands: int, lowest: float, highest: float) -> np.ndarray:
    """Return weights [K, M] of triangles that are equally wide and overlap by half on the mel scale, peak 1.

    The sides are straight over mel, not over Hz (as in HTK and TensorFlow, unlike in librosa).
    """
    edges = np.linspace(hertz_to_mel(lowest), hertz_to_mel(highest), num_bands + 2)
    mel = hertz_to_mel(frequencies)[:, None]
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[frequencies == 0] = 0.0  # the constant part of a sound carries no information
    return weights


def hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """Convert hertz to the mel scale of HTK: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0)
