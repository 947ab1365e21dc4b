"""What an answer stands on: for each word and medium a map of the medium's parts, by two measures.

*Attention* says where the model looks: the LLM's attention from the token that predicts a word to the media tokens, the
mean over heads and layers, times what each media token stands on (`Adapter.attribution`). *Occlusion* says what the
word needs: how far its log-likelihood drops when a part is hidden (Zeiler and Fergus 2014, arXiv 1311.2901). Where a
model looks need not be what it needs (Jain and Wallace 2019, arXiv 1902.10186), so their rank correlation is told.
Shapes: W words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from omni.explaining.correlation import spearman
from omni.explaining.cost import Cost
from omni.explaining.words import Word
from omni.media.parts.contract import Axis, MediaParts

ATTENTION, OCCLUSION = "attention", "occlusion"
MEASURES = (ATTENTION, OCCLUSION)


@dataclass(frozen=True, eq=False)
class ExplainedMedium:
    """The maps of one medium.

    Attributes:
        modality: its name in the model.
        description: which item it is.
        parts: how it was cut; None = it is not known how, and there are no maps.
        attention: [W, *parts]: shares of the attention of the token before each token of the word, mean over the
            word's tokens; their sum is the medium's share of all attention. None = not known, which `notes` explain.
        occlusion: [W, *parts]: drop of the word's log-likelihood in nats without a part; negative = it was against the
            word. None = not measured.
        notes: what to know about these maps, in sentences.
    """

    modality: str
    description: str
    parts: MediaParts | None
    attention: np.ndarray | None
    occlusion: np.ndarray | None
    notes: tuple[str, ...] = ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes along which it was cut."""
        return () if self.parts is None else self.parts.axes

    def heat(self, measure: str, word: int | None = None) -> np.ndarray | None:
        """Return the map of a word, [*parts]; of the whole answer (None) the mean of attention or the sum of drops.

        Raises:
            ValueError: there is no such measure.
            IndexError: there is no such word.
        """
        if measure not in MEASURES:
            raise ValueError(f"measure is {measure!r}; allowed: {', '.join(MEASURES)}")
        found = self.attention if measure == ATTENTION else self.occlusion
        if found is None:
            return None
        if word is not None:
            return found[word]
        return found.mean(axis=0) if measure == ATTENTION else found.sum(axis=0)

    def correlation(self, word: int | None = None) -> float:
        """Return Spearman's rank correlation of the two maps of a word, or of the whole answer (None).

        NaN where it is not defined: a measure is missing, there is one part only, or a map is the same everywhere.
        """
        first, second = (self.heat(measure, word) for measure in MEASURES)
        return math.nan if first is None or second is None else spearman(first, second)


@dataclass(frozen=True, eq=False)
class Explanation:
    """What an answer stands on; `picture` shows it, `to_dict` writes it down.

    Attributes:
        answer: the answer.
        words: its words, with their tokens and log-likelihoods.
        media: the media of the conversation in their order.
        cost: what it took.
    """

    answer: str
    words: tuple[Word, ...]
    media: tuple[ExplainedMedium, ...]
    cost: Cost

    def picture(
        self, word: int | None = None, medium: int = 0, measure: str = OCCLUSION, *, size: float = 4.0
    ) -> Image.Image:
        """Draw a medium with the map of one word, or of the whole answer (None), as an RGB picture.

        Red parts speak for the word and blue ones against it; the strongest colour is the largest value of any word.

        Args:
            word: which of `words`.
            medium: which of `media`.
            measure: "occlusion" or "attention".
            size: width in inches of 100 pixels.

        Raises:
            ValueError: there is no such map; the message says why.
            IndexError: there is no such word or medium.
        """
        from omni.explaining.drawing import draw_one  # matplotlib takes a second to load

        return draw_one(self, word, medium, measure, size)

    def render(self, words: Sequence[int] | None = None) -> list[Image.Image]:
        """Draw a picture for each medium: a row for each measure that there is, a column for all words and for each.

        Args:
            words: which of `words`; default: the first eight.

        Raises:
            IndexError: there is no such word.
        """
        from omni.explaining.drawing import draw_all

        return draw_all(self, range(min(8, len(self.words))) if words is None else words)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the media themselves as JSON values; a correlation that is not defined is None."""
        return {
            "answer": self.answer,
            "words": [vars(word) for word in self.words],
            "cost": vars(self.cost),
            "media": [self._medium_dict(medium) for medium in self.media],
        }

    def _medium_dict(self, medium: ExplainedMedium) -> dict[str, Any]:
        correlations = [medium.correlation(index) for index in range(len(self.words))]
        return {
            "modality": medium.modality,
            "description": medium.description,
            "axes": [{"name": axis.name, "unit": axis.unit, "edges": [*axis.edges]} for axis in medium.axes],
            ATTENTION: None if medium.attention is None else medium.attention.tolist(),
            OCCLUSION: None if medium.occlusion is None else medium.occlusion.tolist(),
            "correlation": _finite(medium.correlation()),
            "correlations": [_finite(one) for one in correlations],
            "notes": [*medium.notes],
        }

    def __str__(self) -> str:
        lines = [f"{self.answer!r}: {self.cost}"]
        for medium in self.media:
            found = medium.correlation()
            correlation = "not defined" if math.isnan(found) else f"{found:+.2f}"
            lines.append(f"{medium.description}: rank correlation of attention and occlusion {correlation}")
            lines += [f"  {note}" for note in medium.notes]
        return "\n".join(lines)


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
