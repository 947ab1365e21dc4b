"""ROUGE-L (Lin 2004): longest common subsequence of words."""

from collections.abc import Callable, Sequence

from eval.metrics.text import check_references, words_v2

# Weight of recall against precision in the F measure, as in the caption package of COCO (Chen et al. 2015).
BETA = 1.2


def longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence of two sequences."""
    previous = [0] * (len(right) + 1)
    for word in left:
        current = [0]
        for column, other in enumerate(right):
            current.append(previous[column] + 1 if word == other else max(previous[column + 1], current[column]))
        previous = current
    return previous[-1]


def rouge_l(candidate: str, references: Sequence[str], words: Callable[[str], Sequence[str]] = words_v2) -> float:
    """Return ROUGE-L of one candidate in [0, 1]: F measure (beta = 1.2) of best precision and recall over references.

    `words` makes the words of a text.

    Raises:
        ValueError: there is no reference, or one text in place of a list.
    """
    check_references(references, "rouge_l")
    own = words(candidate)
    best_precision = best_recall = 0.0
    for reference in map(words, references):
        common = longest_common_subsequence(own, reference)
        if common:
            best_precision = max(best_precision, common / len(own))
            best_recall = max(best_recall, common / len(reference))
    if best_precision == 0 or best_recall == 0:
        return 0.0
    return (1 + BETA**2) * best_precision * best_recall / (best_recall + BETA**2 * best_precision)
