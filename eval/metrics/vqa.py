"""VQA accuracy (Antol et al. 2015, arXiv:1505.00468)."""

from collections.abc import Sequence

from eval.metrics.text import normalise_vqa_v1


def vqa_accuracy(answer: str, annotations: Sequence[str]) -> float:
    """Return the agreement of one answer with several annotators, in [0, 1].

    For each annotator: min(1, matches among the *other* annotators / 3), then the mean over annotators. With a single
    annotation there are no others, and the value is exact match.

    Raises:
        ValueError: no annotation is given.
    """
    if not annotations:
        raise ValueError("vqa_accuracy needs at least one annotation; got an empty list")
    predicted = normalise_vqa_v1(answer)
    matches = [normalise_vqa_v1(annotation) == predicted for annotation in annotations]
    if len(matches) == 1:
        return float(matches[0])
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)
