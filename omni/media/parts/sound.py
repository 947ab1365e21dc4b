"""Parts of a sound: windows of time, and if wanted bands of frequency, of which hidden ones are silent.

Shapes: T samples, F bins of the Fourier transform, S steps of the spectrogram.
"""

from typing import Any

import numpy as np

from omni.media.item import Media
from omni.media.parts.contract import Axis, evenly
from omni.media.parts.drawing import lay_over
from omni.media.sound import load_sound

SHORTEST = 0.05  # seconds of a window: of less, the encoders here see nothing change
LOWEST = 125.0  # Hz, the edge under which the first band begins
_WINDOW, _HOP = 1024, 256  # samples


class SoundParts:
    """A sound in at most `most` parts: windows of equal length, times bands that are equally wide to the ear.

    Args:
        media: the sound.
        most: the most parts.
        num_bands: bands of frequency, up to half the sampling rate.
    """

    aspect = 0.6

    def __init__(self, media: Media, most: int, num_bands: int = 1) -> None:
        sound = load_sound(media, None)
        self.modality = media.modality
        self.samples, self.rate = sound.samples, sound.sampling_rate
        num_windows = max(1, min(most // num_bands, int(sound.duration / SHORTEST)))
        self.axes = (
            evenly("time", 0.0, sound.duration, num_windows, "s"),
            Axis("frequency", _bands(self.rate / 2, num_bands), "Hz"),
        )

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the sound with silence in the hidden windows, and without the hidden bands in the others."""
        samples = self.samples.copy()
        windows = np.round(np.array(self.axes[0].edges) * self.rate).astype(int)
        if (hidden.any(axis=1) & ~hidden.all(axis=1)).any():
            samples = self._without_bands(hidden, windows)
        for start, end, whole in zip(windows, windows[1:], np.all(hidden, axis=1), strict=False):
            if whole:
                samples[start:end] = 0.0
        return Media(self.modality, data=samples, sampling_rate=self.rate)

    def _without_bands(self, hidden: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """The samples without the bands that are hidden in part of the windows."""
        frequencies = np.fft.rfftfreq(_WINDOW, 1 / self.rate)
        band = np.clip(np.searchsorted(self.axes[1].edges, frequencies, side="right") - 1, 0, hidden.shape[1] - 1)
        samples = self.samples.copy()
        for start, end, bands in zip(windows, windows[1:], hidden, strict=False):
            if bands.any() and not bands.all():
                samples[start:end] = _filtered(self.samples, start, end, ~bands[band])
        return samples

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the spectrogram with the heat over it."""
        times, frequencies, levels = _spectrogram(self.samples, self.rate)
        canvas.pcolormesh(times, frequencies, levels, cmap="gray_r", shading="auto", rasterized=True)
        lay_over(canvas, self.axes[0].edges, self.axes[1].edges, heat.T, limit)
        canvas.set_xlim(0, self.axes[0].edges[-1])
        canvas.set_ylim(0, self.axes[1].edges[-1])
        canvas.set_xlabel("seconds")
        canvas.set_ylabel("Hz")


def _bands(highest: float, count: int) -> tuple[float, ...]:
    """Edges of bands of equal width in the logarithm of frequency, the first one down to 0."""
    if count == 1:
        return 0.0, highest
    inner = np.geomspace(min(LOWEST, highest / 2), highest, count + 1)[1:-1]
    return 0.0, *inner.tolist(), highest


def _filtered(samples: np.ndarray, start: int, end: int, kept: np.ndarray) -> np.ndarray:
    """The samples from `start` to `end` with the bins `kept` [F] alone, by overlapping windows."""
    padded = np.pad(samples, _WINDOW)
    shape = np.hanning(_WINDOW + 1)[:-1]
    total, weight = np.zeros(len(padded)), np.zeros(len(padded))
    for place in range(start, end + _WINDOW, _HOP):
        part = np.fft.rfft(padded[place : place + _WINDOW] * shape, _WINDOW)
        piece = np.fft.irfft(part * kept, _WINDOW)[: len(padded) - place]
        total[place : place + _WINDOW] += piece * shape[: len(piece)]
        weight[place : place + _WINDOW] += shape[: len(piece)] ** 2
    inner = slice(start + _WINDOW, end + _WINDOW)
    return (total[inner] / np.maximum(weight[inner], 1e-6)).astype(np.float32)


def _spectrogram(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of steps [S + 1] and bins [F + 1], and the levels [F, S] in decibels, 80 below the loudest at least."""
    size = min(512, max(16, len(samples)))
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    hop = max(size // 4, len(padded) // 600)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    levels = 10 * np.log10(np.maximum(power, max(power.max(), 1e-12) * 1e-8)).T
    times = np.linspace(0, len(samples) / rate, levels.shape[1] + 1)
    return times, np.linspace(0, rate / 2, levels.shape[0] + 1), levels
