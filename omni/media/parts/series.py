"""Parts of a curve: spans of time, of which hidden ones get the mean of each channel.

Shapes: T steps, C channels.
"""

from typing import Any

import numpy as np

from omni.media.imu import load_imu
from omni.media.item import Media
from omni.media.npy import read_npy
from omni.media.parts.contract import in_spans
from omni.media.parts.drawing import heat_colours

IMU_UNITS = {"acceleration_unit": "m/s2", "rotation_unit": "rad/s"}
_IMU_RATE = 200  # Hz


class SeriesParts:
    """An array [T, ...] of any sensor in at most `most` spans of T."""

    aspect = 0.6

    def __init__(self, media: Media, values: np.ndarray, most: int, rate: int | None = None) -> None:
        self.media, self.values, self.rate = media, values, rate
        self.axes = (in_spans("time", len(values), most, rate or 1, "s" if rate else "steps"),)

    @classmethod
    def of_array(cls, media: Media, most: int) -> "SeriesParts | None":
        """Cut an array [T, ...], or a `.npy` file of one; None = it is something else."""
        values = media.data
        if isinstance(media.path, str) and media.path.lower().endswith(".npy"):
            values = read_npy(media.path, media.describe())
        if not isinstance(values, np.ndarray) or values.ndim == 0 or values.dtype.kind not in "biuf" or not len(values):
            return None
        return cls(media, values, most)

    @classmethod
    def of_imu(cls, media: Media, most: int) -> "SeriesParts":
        """Cut a recording of an inertial measurement unit."""
        samples = load_imu(media, _IMU_RATE).samples.T
        own = Media(media.modality, data=samples, sampling_rate=_IMU_RATE, options=dict(IMU_UNITS))
        return cls(own, samples, most, _IMU_RATE)

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the curve with the mean of each channel in the hidden spans."""
        values = self.values.copy()
        mean = self.values.mean(axis=0)
        fill = np.rint(mean) if values.dtype.kind in "iu" else mean > 0.5 if values.dtype.kind == "b" else mean
        edges = np.round(np.array(self.axes[0].edges) * (self.rate or 1)).astype(int)
        for start, end, is_hidden in zip(edges, edges[1:], hidden, strict=False):
            if is_hidden:
                values[start:end] = fill
        return Media(
            self.media.modality, data=values, sampling_rate=self.media.sampling_rate, options=self.media.options
        )

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the curves, each scaled to its own range where there are several, over the spans in their colours."""
        curves = self.values.reshape(len(self.values), -1).astype(float)[:, :16]
        times = (np.arange(len(curves)) + 0.5) / (self.rate or 1)
        for start, end, colour in zip(
            self.axes[0].edges, self.axes[0].edges[1:], heat_colours(heat, limit), strict=False
        ):
            canvas.axvspan(start, end, color=colour, linewidth=0)
        canvas.plot(times, curves, linewidth=0.9, color="black" if curves.shape[1] == 1 else None)
        canvas.set_xlim(0, self.axes[0].edges[-1])
        canvas.set_xlabel("seconds" if self.rate else "steps")
