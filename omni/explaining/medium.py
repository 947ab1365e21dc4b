"""The maps of one medium, by two measures, and how they agree.

Shapes: W words.
"""

import math
from dataclasses import dataclass

import numpy as np

from omni.explaining.correlation import spearman
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
