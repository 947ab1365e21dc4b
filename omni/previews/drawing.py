"""Drawings of numbers: curves, waveforms, heat maps, false colours with their scale, rows of pictures, words.

matplotlib draws without a window system; it is imported where it is needed, since that takes a second.
T: time steps, C: channels, H, W: height and width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_DPI = 100
_WIDTH = 6.4  # inches
_MOST_POINTS = 4000  # of a curve: more are not seen
_MOST_PANELS = 8
_UNKNOWN = (0.8, 0.8, 0.8)  # the colour of pixels without a value


def draw_curves(values: np.ndarray, names: Sequence[str], seconds: float | None = None) -> Image.Image:
    """Draw channels `[T, C]` over time, those whose names begin with the same word in one panel."""
    panels: dict[str, list[int]] = {}
    for channel, name in enumerate(names):
        panels.setdefault(name.rpartition(" ")[0] or name, []).append(channel)
    if len(panels) > _MOST_PANELS:
        panels = {"": [*range(len(names))]}
    step = -(-len(values) // _MOST_POINTS)
    times = np.arange(len(values))[::step] * (1 if seconds is None else seconds / len(values))
    figure, axes = _figure(len(panels), 1.3 if len(panels) > 1 else 2.4)
    for axis, (title, channels) in zip(axes, panels.items(), strict=True):
        for channel in channels:
            label = names[channel].rpartition(" ")[2] if len(channels) > 1 else None
            axis.plot(times, values[::step, channel], linewidth=1.1, label=label)
        axis.set_ylabel(title if title != names[channels[0]] or len(panels) > 1 else names[channels[0]], fontsize=8)
        axis.margins(x=0)
        if 1 < len(channels) <= 10:
            axis.legend(loc="upper right", fontsize=7, ncols=len(channels), frameon=False)
    axes[-1].set_xlabel("samples" if seconds is None else "seconds", fontsize=8)
    return _drawn(figure)


def draw_waveform(samples: np.ndarray, rate: int) -> Image.Image:
    """Draw a sound `[T]` as its envelope, and below it its spectrogram in decibels."""
    figure, (wave, spectrum) = _figure(2, 1.1)
    edges = np.linspace(0, len(samples), min(len(samples), 800) + 1).astype(int)
    low = np.minimum.reduceat(samples, edges[:-1])
    high = np.maximum.reduceat(samples, edges[:-1])
    times = edges[:-1] / rate
    wave.fill_between(times, low, high + 1e-4, linewidth=0.6)
    wave.set_xlim(0, len(samples) / rate)
    wave.set_ylabel("amplitude", fontsize=8)
    levels, top = _spectrogram(samples, rate)
    extent = (0, len(samples) / rate, 0, top / 1000)
    spectrum.imshow(levels, origin="lower", aspect="auto", extent=extent, cmap="magma", interpolation="nearest")
    spectrum.set_ylabel("kHz", fontsize=8)
    spectrum.set_xlabel("seconds", fontsize=8)
    return _drawn(figure)


def draw_heat_map(values: np.ndarray, across: str, down: str) -> Image.Image:
    """Draw a table of numbers `[H, W]` as colours, with their scale and what the axes count."""
    figure, (axis,) = _figure(1, 2.6)
    most = float(np.abs(values).max()) or 1.0
    shown = axis.imshow(values, aspect="auto", cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axis.set_xlabel(across, fontsize=8)
    axis.set_ylabel(down, fontsize=8)
    if len(values) == 1:
        axis.set_yticks([])
    figure.colorbar(shown, ax=axis, pad=0.02).ax.tick_params(labelsize=7)
    return _drawn(figure)


def draw_false_colour(values: np.ndarray, known: np.ndarray, colours: str, unit: str) -> Image.Image:
    """Draw a picture of one number a pixel `[H, W]` in false colours, with the scale at its side.

    Args:
        values: the numbers.
        known: `[H, W]` bool; pixels that are False are grey.
        colours: a colour map of matplotlib.
        unit: of the numbers, written at the scale.
    """
    import matplotlib as mpl

    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)
    figure, (axis,) = _figure(1, 3.2)
    colour_map = mpl.colormaps[colours].with_extremes(bad=_UNKNOWN)
    masked = np.ma.masked_array(values, ~known)
    shown = axis.imshow(masked, cmap=colour_map, vmin=low, vmax=high if high > low else low + 1)
    axis.set_axis_off()
    scale = figure.colorbar(shown, ax=axis, pad=0.02, shrink=0.9)
    scale.ax.tick_params(labelsize=8)
    scale.set_label(unit, fontsize=8)
    return _drawn(figure, crop=True)


def draw_strip(images: Sequence[Image.Image], height: int = 160) -> Image.Image:
    """Put pictures side by side, in their order, in rows of four."""
    shown = [image.resize((max(1, round(image.width * height / image.height)), height)) for image in images]
    rows = [shown[start : start + 4] for start in range(0, len(shown), 4)]
    width = max(sum(image.width for image in row) + 4 * (len(row) - 1) for row in rows)
    strip = Image.new("RGB", (width, len(rows) * (height + 4) - 4), "white")
    for number, row in enumerate(rows):
        left = 0
        for image in row:
            strip.paste(image, (left, number * (height + 4)))
            left += image.width + 4
    return strip


def draw_words(text: str, characters: int = 60, lines: int = 12) -> Image.Image:
    """Write a text in black on white, cut after some lines."""
    rows = [text[start : start + characters] for start in range(0, min(len(text), characters * lines), characters)]
    font = ImageFont.load_default(14)
    image = Image.new("RGB", (characters * 8 + 24, 20 * max(1, len(rows)) + 24), "white")
    ImageDraw.Draw(image).multiline_text((12, 12), "\n".join(rows), fill="black", font=font, spacing=4)
    return image


def _figure(panels: int, height: float) -> tuple[Any, list[Any]]:
    """A figure of panels above each other, each `height` inches high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height * panels + 0.4), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [*figure.subplots(panels, 1, sharex=panels > 1, squeeze=False)[:, 0]]
    for axis in axes:
        axis.tick_params(labelsize=7)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, axes


def _drawn(figure: Any, crop: bool = False) -> Image.Image:
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    if not crop:
        return image
    rows, columns = np.where((np.asarray(image) != 255).any(axis=2))
    return image.crop((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))


def _spectrogram(samples: np.ndarray, rate: int, bins: int = 512, most: int = 400) -> tuple[np.ndarray, float]:
    """Levels `[frequency, time]` in dB below the loudest, at least -80, and the highest frequency in Hz."""
    padded = np.pad(samples, (0, max(0, bins - len(samples))))
    starts = np.linspace(0, len(padded) - bins, min(most, max(1, (len(padded) - bins) // (bins // 4) + 1))).astype(int)
    frames = padded[starts[:, None] + np.arange(bins)] * np.hanning(bins)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    levels = 10 * np.log10(power / max(power.max(), 1e-12) + 1e-8)
    return levels.T, rate / 2
