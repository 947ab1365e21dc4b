"""Pictures of explanations, by matplotlib without its global state, so that they can be drawn in any thread."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from omni.explaining.correlation import is_even
from omni.explaining.medium import ATTENTION, OCCLUSION, ExplainedMedium
from omni.explaining.words import Word

DPI = 100
_LONGEST_WORD = 18  # characters of a word in a heading
_COLUMN = 2.3  # inches of an overview
_SMALL = 7  # points


def draw_one(
    medium: ExplainedMedium, words: Sequence[Word], word: int | None, measure: str, size: float
) -> Image.Image:
    """Draw one map; see `Explanation.picture`."""
    if medium.heat(measure, word) is None or medium.parts is None:
        reason = " ".join(medium.notes) or f"it was made without {measure}"
        raise ValueError(f"there is no map of {medium.description} by {measure}: {reason}")
    figure = Figure(figsize=(size, size * _height(medium)), dpi=DPI, layout="constrained")
    _draw(figure.add_subplot(), medium, measure, word, len(words))
    return _picture(figure)


def draw_overview(medium: ExplainedMedium, words: Sequence[Word], chosen: Sequence[int]) -> Image.Image:
    """Draw the maps of the whole answer and of the chosen words; see `Explanation.render`."""
    columns: list[int | None] = [None, *chosen]
    measures = [name for name in (OCCLUSION, ATTENTION) if medium.heat(name) is not None]
    notes = "\n".join(medium.notes) or ("" if measures else "There is no map.")
    height = len(measures) * _COLUMN * _height(medium) + 0.6 + 0.2 * notes.count("\n")
    figure = Figure(figsize=(_COLUMN * len(columns), height), dpi=DPI, layout="constrained")
    for row, measure in enumerate(measures):
        for column, word in enumerate(columns):
            canvas = figure.add_subplot(len(measures), len(columns), row * len(columns) + column + 1)
            _draw(canvas, medium, measure, word, len(words))
            _label(canvas, measure if column == 0 else None, _heading(medium, words, word) if row == 0 else "")
    if notes:
        figure.supxlabel(notes, fontsize=_SMALL)
    return _picture(figure)


def _label(canvas: Axes, measure: str | None, heading: str) -> None:
    """Write the heading, and the name of the measure at the left of a row, whose other axes lose their scale."""
    if heading:
        canvas.set_title(heading, fontsize=_SMALL + 1)
    if measure is not None:
        canvas.set_ylabel(f"{measure}\n{canvas.get_ylabel()}".strip(), fontsize=_SMALL + 1)
    elif canvas.get_ylabel():
        canvas.set_ylabel("")
        canvas.set_yticks([])
    canvas.tick_params(labelsize=_SMALL - 1)
    canvas.set_xlabel(canvas.get_xlabel(), fontsize=_SMALL)


def _draw(canvas: Axes, medium: ExplainedMedium, measure: str, word: int | None, num_words: int) -> None:
    """Draw one map; the strongest colour is the same for all words, so that they can be compared."""
    assert medium.parts is not None
    compared = [None] if word is None else range(num_words)
    limit = float(max(np.abs(_shown(medium, measure, one)).max() for one in compared))
    medium.parts.draw(canvas, _shown(medium, measure, word), limit)


def _shown(medium: ExplainedMedium, measure: str, word: int | None) -> np.ndarray:
    """The values that are drawn: of attention, how far it is above the mean of all parts, or below."""
    heat = medium.heat(measure, word)
    assert heat is not None
    if measure == OCCLUSION:
        return heat
    return np.zeros_like(heat) if is_even(heat) else heat - heat.mean()


def _heading(medium: ExplainedMedium, words: Sequence[Word], word: int | None) -> str:
    correlation = medium.correlation(word)
    text = "all words" if word is None else words[word].text
    text = text if len(text) <= _LONGEST_WORD else text[: _LONGEST_WORD - 1] + "…"
    return text if math.isnan(correlation) else f"{text}\ncorrelation {correlation:+.2f}"


def _height(medium: ExplainedMedium) -> float:
    """Height of a drawing as a multiple of its width, within bounds."""
    return min(2.0, max(0.35, medium.parts.aspect)) if medium.parts is not None else 0.3


def _picture(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
