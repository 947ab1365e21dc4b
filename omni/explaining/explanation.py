"""What an answer stands on: for each word and medium a map of the medium's parts, by two measures.

*Attention* says where the model looks: the LLM's attention from the token that predicts a word to the media tokens, the
mean over heads and layers, times what each media token stands on (`Adapter.attribution`). *Occlusion* says what the
word needs: how far its log-likelihood drops when a part is hidden (Zeiler and Fergus 2014, arXiv 1311.2901). Where a
model looks need not be what it needs (Jain and Wallace 2019, arXiv 1902.10186), so their rank correlation is told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from omni.explaining.cost import Cost
from omni.explaining.medium import ATTENTION, OCCLUSION, ExplainedMedium
from omni.explaining.words import Word

_SHOWN = 8  # words in an overview


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

        return draw_one(self.media[medium], self.words, word, measure, size)

    def render(self, words: Sequence[int] | None = None) -> list[Image.Image]:
        """Draw a picture for each medium: a row for each measure that there is, a column for all words and for each.

        Args:
            words: which of `words`; default: the first eight.

        Raises:
            IndexError: there is no such word.
        """
        from omni.explaining.drawing import draw_overview

        chosen = range(min(_SHOWN, len(self.words))) if words is None else words
        return [draw_overview(medium, self.words, chosen) for medium in self.media]

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
