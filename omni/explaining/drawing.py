"""Pictures of explanations, by matplotlib without its global state, so that they can be drawn in any thread."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

DPI = 100
_LONGEST_WORD = 18  # characters of a word in a heading
_COLUMN = 2.3  # inches


def draw_one(explanation: Any, word: int | None, medium: int, measure: str, size: float) -> Image.Image:
    """Draw one map; see `Explanation.picture`."""
    found = explanation.media[medium]
    heat = found.heat(measure, word)
    if heat is None or found.parts is None:
        reason = " ".join(found.notes) or f"it was made without {measure}"
        raise ValueError(f"there is no map of {found.description} by {measure}: {reason}")
    figure = Figure(figsize=(size, size * _height(found)), dpi=DPI, layout="constrained")
    found.parts.draw(figure.add_subplot(), heat, _limit(explanation, found, measure, word))
    return _picture(figure)


def draw_all(explanation: Any, words: Sequence[int]) -> list[Image.Image]:
    """Draw all maps of each medium; see `Explanation.render`."""
    return [_overview(explanation, medium, words) for medium in explanation.media]


def _overview(explanation: Any, medium: Any, words: Sequence[int]) -> Image.Image:
    columns: list[int | None] = [None, *words]
    headings = ["all words", *(_short(explanation.words[word].text) for word in words)]
    measures = [name for name in ("occlusion", "attention") if medium.heat(name) is not None]
    row = _COLUMN * _height(medium)
    text = "\n".join(medium.notes)
    figure = Figure(
        figsize=(_COLUMN * len(columns), max(1, len(measures)) * row + 0.5 + 0.2 * text.count("\n")),
        dpi=DPI,
        layout="constrained",
    )
    for index, measure in enumerate(measures):
        for place, word in enumerate(columns):
            canvas = figure.add_subplot(len(measures), len(columns), index * len(columns) + place + 1)
            heat = medium.heat(measure, word)
            medium.parts.draw(canvas, heat, _limit(explanation, medium, measure, word))
            if index == 0:
                canvas.set_title(headings[place], fontsize=9)
            if place == 0:
                label = canvas.get_ylabel()
                canvas.set_ylabel(f"{measure}\n{label}" if label else measure, fontsize=8)
            elif canvas.get_ylabel():
                canvas.set_ylabel("")
                canvas.set_yticks([])
            canvas.tick_params(labelsize=6)
            canvas.xaxis.label.set_size(7)
    if text or not measures:
        figure.supxlabel(text or "There is no map.", fontsize=7)
    return _picture(figure)


def _limit(explanation: Any, medium: Any, measure: str, word: int | None) -> float:
    """The value of the strongest colour: the same for all words, so that they can be compared."""
    shown = (
        [medium.heat(measure, None)]
        if word is None
        else [medium.heat(measure, w) for w in range(len(explanation.words))]
    )
    return float(max(np.abs(one).max() for one in shown))


def _height(medium: Any) -> float:
    """Height of a drawing as a multiple of its width."""
    names = [axis.name for axis in medium.axes]
    if "frame" in names:
        return 0.6
    return 0.6 if "time" in names or "feature" in names else 1.0


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_WORD else text[: _LONGEST_WORD - 1] + "…"


def _picture(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
