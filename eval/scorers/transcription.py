"""Transcriptions, by word and character error rate over the whole set: all edits over the length of all references."""

from collections.abc import Callable, Sequence

import numpy as np

from eval.metrics.transcription import (
    Errors,
    character_errors,
    normalise_whisper_english,
    normalise_whisper_marks,
    word_errors,
)
from eval.scorers.text import CorpusMetric, TextScorer
from eval.statistics.intervals import Estimate, bootstrap


def error_rate(errors: Callable[[str, str], Errors], normalise: Callable[[str], str]) -> CorpusMetric:
    """Return the corpus metric that divides all edits by the length of all references; lower is better.

    Of several references of an item, the one with the lowest error rate counts. A single item has no value: the rate of
    a set is no mean over items. NaN if normalisation leaves nothing of any reference.
    """

    def corpus(
        texts: Sequence[str], references: Sequence[Sequence[str]], clusters: Sequence[int], seed: int
    ) -> tuple[Estimate, list[float]]:
        best = [
            min((errors(normalise(text), normalise(one)) for one in own), key=_rate)
            for text, own in zip(texts, references, strict=True)
        ]
        edits, lengths = np.array([one.edits for one in best]), np.array([one.length for one in best])

        def statistic(indices: np.ndarray) -> float:
            length = lengths[indices].sum()
            return float(edits[indices].sum() / length) if length else float("nan")

        return bootstrap(statistic, len(texts), seed=seed, clusters=clusters), []

    return corpus


def _rate(errors: Errors) -> float:
    return errors.edits / max(1, errors.length)


def _transcription(name: str, normalise: Callable[[str], str]) -> TextScorer:
    # no share, though often written in percent: it can be above 1, and lower is better
    metrics = {"wer": error_rate(word_errors, normalise), "cer": error_rate(character_errors, normalise)}
    return TextScorer(name, metrics, percent=False)


TRANSCRIPTION = (
    _transcription("transcription-english", normalise_whisper_english),
    _transcription("transcription-other", normalise_whisper_marks),
)
