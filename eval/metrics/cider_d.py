"""CIDEr-D: consensus-based caption evaluation (Vedantam, Zitnick, Parikh 2015, arXiv:1411.5726, section 8).

For n = 1..4, g(x) is the vector of term frequency times inverse document frequency of the n-grams of x, where a
document is the set of references of one item. With l(x) the number of words of x and m references s_j of a candidate
c,

    CIDEr-D_n(c) = 10 / m * sum_j exp(-(l(c) - l(s_j))^2 / (2 * 6^2)) * <min(g(c), g(s_j)), g(s_j)> / (|g(c)| |g(s_j)|)

and CIDEr-D is the mean over n. The minimum clips repeated n-grams, the Gaussian punishes a difference of length. As
in the public COCO code, words are not stemmed and an n-gram of document frequency 0 counts as one of frequency 1.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from eval.metrics.text import check_references, words_v2

MAX_N = 4
SIGMA = 6.0
SCALE = 10.0

NGrams = Counter[tuple[str, ...]]


def count_ngrams(words: Sequence[str]) -> list[NGrams]:
    """Count the n-grams of a word sequence; one counter for each n = 1..4."""
    return [
        Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1)) for n in range(1, MAX_N + 1)
    ]


class CiderD:
    """CIDEr-D against a fixed reference corpus, from which the document frequencies come.

    Args:
        corpus: the reference texts of each item of the corpus.
        words: from a text to its words.

    Raises:
        ValueError: the corpus is empty, or an item has no reference or one text in place of a list.
    """

    def __init__(self, corpus: Sequence[Sequence[str]], words: Callable[[str], Sequence[str]] = words_v2) -> None:
        if not corpus:
            raise ValueError("CIDEr-D needs a corpus with at least one item")
        for references in corpus:
            check_references(references, "each item of CIDEr-D's corpus")
        self.words = words
        self.log_num_documents = math.log(len(corpus))
        self.document_frequency: NGrams = Counter()
        for references in corpus:
            seen = {gram for text in references for counts in count_ngrams(words(text)) for gram in counts}
            self.document_frequency.update(seen)

    def _weights(self, counts: NGrams) -> dict[tuple[str, ...], float]:
        return {
            gram: count * (self.log_num_documents - math.log(max(1, self.document_frequency[gram])))
            for gram, count in counts.items()
        }

    def _similarity(self, candidate: str, reference: str) -> float:
        candidate_words, reference_words = self.words(candidate), self.words(reference)
        difference = len(candidate_words) - len(reference_words)
        per_n = np.zeros(MAX_N)
        counts = zip(count_ngrams(candidate_words), count_ngrams(reference_words), strict=True)
        for index, (candidate_counts, reference_counts) in enumerate(counts):
            left, right = self._weights(candidate_counts), self._weights(reference_counts)
            norms = math.hypot(*left.values()) * math.hypot(*right.values())
            if norms > 0:
                clipped = sum(min(weight, right[gram]) * right[gram] for gram, weight in left.items() if gram in right)
                per_n[index] = clipped / norms
        return float(per_n.mean()) * math.exp(-(difference**2) / (2 * SIGMA**2))

    def score(self, candidate: str, references: Sequence[str]) -> float:
        """Return CIDEr-D of one candidate, in [0, 10]; an item's references need not be in the corpus.

        Raises:
            ValueError: there is no reference, or one text in place of a list.
        """
        check_references(references, "CIDEr-D")
        return SCALE * sum(self._similarity(candidate, reference) for reference in references) / len(references)
