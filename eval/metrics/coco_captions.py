"""BLEU-1 to BLEU-4 as COCO's caption evaluation has it, and the words that its metrics compare.

Chen et al. 2015 (arXiv:1504.00325, section 3.3); held equal to `pycocoevalcap` by `tests/golden/captions.json.gz`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.metrics.cider_d import MAX_N, count_ngrams
from eval.metrics.penn_treebank import words_ptb

# Of BLEU there: what keeps a precision without a match, and one without an n-gram, a number.
_TINY, _SMALL = 1e-15, 1e-9


def split_words_ptb(text: str) -> tuple[str, ...]:
    """Return the words that BLEU and CIDEr-D compare: those of `words_ptb`, split at hard blanks (`1 1/2` is two)."""
    return tuple(" ".join(words_ptb(text)).split())


def rouge_words_ptb(text: str) -> tuple[str, ...]:
    """Return the words that ROUGE-L compares: those of `words_ptb`; a text without words has one empty one there."""
    return words_ptb(text) or ("",)


@dataclass(frozen=True)
class BleuCounts:
    """What BLEU needs of N texts.

    Attributes:
        correct: [N, 4], n-grams that one of the references has, as often as it has them at most.
        guessed: [N, 4], n-grams.
        lengths: [N], words.
        reference_lengths: [N], words of the reference whose length is closest, the shorter one of two.
    """

    correct: np.ndarray
    guessed: np.ndarray
    lengths: np.ndarray
    reference_lengths: np.ndarray

    def bleu(self, indices: np.ndarray) -> np.ndarray:
        """Return corpus BLEU-1 to BLEU-4 of some of the texts, each in [0, 1]: [4]."""
        correct, guessed = self.correct[indices].sum(0), self.guessed[indices].sum(0)
        precisions = np.cumprod((correct + _TINY) / (guessed + _SMALL)) ** (1 / np.arange(1, MAX_N + 1))
        ratio = (self.lengths[indices].sum() + _TINY) / (self.reference_lengths[indices].sum() + _SMALL)
        return precisions * np.exp(1 - 1 / ratio) if ratio < 1 else precisions


def bleu_counts(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> BleuCounts:
    """Count what BLEU needs of each text and its references."""
    rows = [_count(split_words_ptb(text), own) for text, own in zip(candidates, references, strict=True)]
    correct, guessed, lengths, closest = zip(*rows, strict=True)
    return BleuCounts(np.array(correct, float), np.array(guessed, float), np.array(lengths), np.array(closest))


def _count(words: Sequence[str], references: Sequence[str]) -> tuple[list[int], list[int], int, int]:
    others = [split_words_ptb(reference) for reference in references]
    most: Counter[tuple[str, ...]] = Counter()
    for other in others:
        for counts in count_ngrams(other):
            most |= counts
    found = count_ngrams(words)
    correct = [sum(min(count, most[gram]) for gram, count in counts.items()) for counts in found]
    closest = min((abs(len(other) - len(words)), len(other)) for other in others)[1]
    return correct, [counts.total() for counts in found], len(words), closest
