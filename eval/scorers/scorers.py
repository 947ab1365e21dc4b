"""Scorers, each with a version in its name that is written into the result.

Choices are ranked by one of four scores, all computed from the same log-likelihoods and all reported; the scorer's name
says which one is primary:

    sum     log p(c | media, prompt)
    mean    sum / number of tokens of c, its end token included
    bytes   sum / number of UTF-8 bytes of c
    pmi     log p(c | media, prompt) - log p(c | prompt), the pointwise mutual information of candidate and media,
            which takes out that some candidates are likelier texts than others (Holtzman et al. 2021,
            arXiv:2104.08315). p(c | prompt) is the mean of p(c | media, prompt) over a task's reference media, which
            come from the training split, or, for a task without reference, the likelihood when no media are shown. The
            mean is the better estimate: that a model says `drum` to any sound at all then counts for no sound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.metrics import CiderD, bleu_4, normalise_vqa_v1, rouge_l
from eval.statistics.intervals import Estimate, bootstrap, mean_interval

NORMALIZATIONS = ("sum", "mean", "bytes", "pmi")


@dataclass(frozen=True)
class ChoiceScorer:
    """Ranks candidates; the primary metric is the accuracy under `normalization`."""

    normalization: str


@dataclass(frozen=True)
class MatchScorer:
    """Compares the log-likelihood of the right answer in two conditions; the primary metric is the share of wins."""


# (texts, references, cluster numbers, seed) -> estimate, and the value of each item
CorpusMetric = Callable[[Sequence[str], Sequence[str], Sequence[int], int], tuple[Estimate, list[float]]]


@dataclass(frozen=True)
class TextScorer:
    """Scores generated texts; the first metric is the primary one. `percent` says that it is a share."""

    metrics: Mapping[str, CorpusMetric]
    percent: bool


Scorer = ChoiceScorer | MatchScorer | TextScorer


def choice_scores(
    candidates: Sequence[str], scores: Sequence[float], base: Sequence[float] | None, num_tokens: Sequence[int]
) -> dict[str, np.ndarray]:
    """All four scores of the candidates of one item.

    Args:
        scores: log p(c | media, prompt) of each candidate.
        base: log p(c | prompt); None leaves `pmi` out.
        num_tokens: tokens of each candidate, the end token included.
    """
    total = np.asarray(scores, dtype=float)
    result = {
        "sum": total,
        "mean": total / np.asarray(num_tokens, dtype=float),
        "bytes": total / np.asarray([max(1, len(candidate.encode())) for candidate in candidates], dtype=float),
    }
    if base is not None:
        result["pmi"] = total - np.asarray(base, dtype=float)
    return result


def credit(scores: np.ndarray, right: int) -> float:
    """1 if the right candidate is best, a share of 1 if it ties with others for the best, else 0."""
    best = np.isclose(scores, scores.max(), rtol=0, atol=1e-9)
    return float(best[right] / best.sum())


def expected_rank(scores: np.ndarray, right: int) -> float:
    """Rank of the right candidate from 1, the middle one where it ties."""
    ties = np.isclose(scores, scores[right], rtol=0, atol=1e-9)
    return float(1 + np.sum((scores > scores[right]) & ~ties) + (ties.sum() - 1) / 2)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities in proportion to exp(score)."""
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum()


def _cider_d(
    texts: Sequence[str], references: Sequence[str], clusters: Sequence[int], seed: int
) -> tuple[Estimate, list[float]]:
    metric = CiderD([[reference] for reference in references])
    values = [metric.score(text, [reference]) for text, reference in zip(texts, references, strict=True)]
    # The document frequencies stay those of the whole test set: the interval is about the items only.
    array = np.asarray(values)
    return bootstrap(lambda indices: float(array[indices].mean()), len(values), seed=seed, clusters=clusters), values


def _bleu_4(
    texts: Sequence[str], references: Sequence[str], clusters: Sequence[int], seed: int
) -> tuple[Estimate, list[float]]:
    def statistic(indices: np.ndarray) -> float:
        chosen = [int(index) for index in indices]
        return bleu_4([texts[index] for index in chosen], [[references[index]] for index in chosen])

    return bootstrap(statistic, len(texts), seed=seed, clusters=clusters, num_resamples=200), []


def _per_item(metric: Callable[[str, str], float]) -> CorpusMetric:
    def corpus(
        texts: Sequence[str], references: Sequence[str], clusters: Sequence[int], seed: int
    ) -> tuple[Estimate, list[float]]:
        values = [metric(text, reference) for text, reference in zip(texts, references, strict=True)]
        return mean_interval(values, clusters, bounds=(0.0, 1.0)), values

    return corpus


def _exact_match(text: str, reference: str) -> float:
    return float(normalise_vqa_v1(text) == normalise_vqa_v1(reference))


SCORERS: dict[str, Scorer] = {
    **{f"choice-{normalization}-v1": ChoiceScorer(normalization) for normalization in NORMALIZATIONS},
    "match-v1": MatchScorer(),
    "caption-cider-d-v1": TextScorer(
        {
            "cider_d": _cider_d,
            "bleu_4": _bleu_4,
            "rouge_l": _per_item(lambda text, reference: rouge_l(text, [reference])),
        },
        percent=False,
    ),
    "exact-match-v1": TextScorer({"exact_match": _per_item(_exact_match)}, percent=True),
}


def get_scorer(name: str) -> Scorer:
    """The scorer of that name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in SCORERS:
        raise ValueError(f"unknown scorer {name!r}; there are {', '.join(sorted(SCORERS))}")
    return SCORERS[name]
