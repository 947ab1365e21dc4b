"""BLEU-4 (Papineni et al. 2002) through sacrebleu."""

from collections.abc import Sequence

import sacrebleu

from eval.metrics.text import words_v1


def bleu_4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return corpus BLEU-4 in [0, 1], on `words_v1` words, without smoothing.

    Args:
        candidates: one text per item.
        references: for each item its reference texts; items may have different numbers of them.

    Raises:
        ValueError: the two differ in length, or an item has no reference.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError(
            f"bleu_4 needs at least one reference for each candidate; got {len(candidates)} candidates and "
            f"{[len(item) for item in references]} references"
        )
    if not candidates:
        return 0.0
    # sacrebleu wants one stream per reference index; None marks an item that has fewer references.
    width = max(len(item) for item in references)
    streams = [
        [" ".join(words_v1(item[index])) if index < len(item) else None for item in references]
        for index in range(width)
    ]
    hypotheses = [" ".join(words_v1(candidate)) for candidate in candidates]
    metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", effective_order=False)
    return metric.corpus_score(hypotheses, streams).score / 100  # pyright: ignore[reportArgumentType]
