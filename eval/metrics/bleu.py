"""BLEU-4 (Papineni et al. 2002) through sacrebleu."""

from collections.abc import Sequence

import sacrebleu

from eval.metrics.text import check_references, words_v2


def bleu_4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return corpus BLEU-4 in [0, 1], on `words_v2` words, without smoothing.

    Args:
        candidates: one text per item.
        references: for each item its reference texts; items may have different numbers of them.

    Raises:
        ValueError: the two differ in length, or an item has no reference or one text in place of a list.
    """
    if len(candidates) != len(references):
        raise ValueError(
            f"bleu_4 needs a list of references for each candidate; got {len(candidates)} candidates and "
            f"{len(references)} lists"
        )
    for own in references:
        check_references(own, "each candidate of bleu_4")
    if not candidates:
        return 0.0
    # sacrebleu wants one stream per reference index; None marks an item that has fewer references.
    width = max(len(item) for item in references)
    streams = [
        [" ".join(words_v2(item[index])) if index < len(item) else None for item in references]
        for index in range(width)
    ]
    hypotheses = [" ".join(words_v2(candidate)) for candidate in candidates]
    metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", effective_order=False)
    return metric.corpus_score(hypotheses, streams).score / 100  # pyright: ignore[reportArgumentType]
