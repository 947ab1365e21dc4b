"""Choices, ranked by one of four scores, which are all computed from the same log-likelihoods and all reported.

The scorer's name says which one is primary:

    sum     log p(c | media, prompt)
    mean    sum / number of tokens of c, its end token included
    bytes   sum / number of UTF-8 bytes of c
    pmi     log p(c | media, prompt) - log p(c | prompt), the pointwise mutual information of candidate and media,
            which takes out that some candidates are likelier texts than others (Holtzman et al. 2021,
            arXiv:2104.08315). p(c | prompt) is the mean of p(c | media, prompt) over a task's reference media, which
            come from the training split, or, for a task without reference, the likelihood when no media are shown. The
            mean is the better estimate: that a model says `drum` to any sound at all then counts for no sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.conditions import OWN
from eval.items.item import Item
from eval.scorers.answers import ChoiceAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.statistics.intervals import Estimate

NORMALIZATIONS = ("sum", "mean", "bytes", "pmi")
NUM_TOP = 3


@dataclass(frozen=True)
class ChoiceScorer:
    """Ranks candidates; the primary metric is the accuracy under `normalization`, one of `NORMALIZATIONS`."""

    normalization: str
    version = 1
    takes = (ChoiceAnswer,)
    percent = True

    @property
    def name(self) -> str:
        """See `Scorer`."""
        return f"choice-{self.normalization}"

    @property
    def metric(self) -> str:
        """See `Scorer`."""
        return f"accuracy_{self.normalization}"

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean of one in the number of options."""
        return sum(1 / len(item.options) for item in items) / len(items)

    def score(self, answers: Sequence[ChoiceAnswer], *, condition: str, seed: int) -> Scores:
        """Return the accuracy under each normalisation, and rank statistics where the media are the items' own."""
        ranked = [_ranked(answer) for answer in answers]
        estimates = {
            f"accuracy_{normalization}": mean_of(_credits(answers, ranked, normalization), answers)
            for normalization in NORMALIZATIONS
        }
        if condition == OWN:
            estimates |= self._rank_statistics(answers, ranked)
        values = _credits(answers, ranked, self.normalization)
        items = [self._item_score(*one) for one in zip(answers, ranked, values, strict=True)]
        # The mutual information with the base itself is 0 for every candidate; the sum is what the LLM believes then.
        is_base = self.normalization == "pmi" and all(answer.is_base for answer in answers)
        return Scores(estimates, items, "accuracy_sum" if is_base else None)

    def _rank_statistics(
        self, answers: Sequence[ChoiceAnswer], ranked: Sequence[list[dict[str, np.ndarray]]]
    ) -> dict[str, Estimate]:
        ranks = [
            expected_rank(showings[0][self.normalization], answer.item.right)
            for answer, showings in zip(answers, ranked, strict=True)
        ]
        return {
            "reciprocal_rank": mean_of([1 / rank for rank in ranks], answers),
            "recall_at_5": mean_of([float(rank <= 5) for rank in ranks], answers),
        }

    def _item_score(self, answer: ChoiceAnswer, showings: list[dict[str, np.ndarray]], value: float) -> ItemScore:
        options = answer.item.options
        probabilities = softmax(showings[0][self.normalization])
        order = np.argsort(-probabilities, kind="stable")[:NUM_TOP]
        top = tuple((options[int(best)], round(float(probabilities[best]), 6)) for best in order)
        return ItemScore(value, text=top[0][0], top=top)


def _ranked(answer: ChoiceAnswer) -> list[dict[str, np.ndarray]]:
    return [scores_of(answer, scores) for scores in answer.log_likelihoods]


def scores_of(answer: ChoiceAnswer, scores: Sequence[float]) -> dict[str, np.ndarray]:
    """Return all four scores of one of an answer's `log_likelihoods`; they are the same where it has no likelihoods."""
    if not answer.are_likelihoods:
        return dict.fromkeys(NORMALIZATIONS, np.asarray(scores, dtype=float))
    return choice_scores(answer.item.options, scores, answer.base, answer.num_tokens, answer.num_bytes)


def _credits(
    answers: Sequence[ChoiceAnswer], ranked: Sequence[list[dict[str, np.ndarray]]], normalization: str
) -> list[float]:
    return [
        float(np.mean([credit(scores[normalization], answer.item.right) for scores in showings]))
        for answer, showings in zip(answers, ranked, strict=True)
    ]


def choice_scores(
    candidates: Sequence[str],
    scores: Sequence[float],
    base: Sequence[float] | None,
    num_tokens: Sequence[int],
    num_bytes: Sequence[int] = (),
) -> dict[str, np.ndarray]:
    """Return all four scores of the candidates of one item.

    Args:
        candidates: the texts.
        scores: log p(c | media, prompt) of each candidate.
        base: log p(c | prompt); None leaves `pmi` out.
        num_tokens: tokens of each candidate, the end token included.
        num_bytes: length of each candidate; empty = its UTF-8 bytes.
    """
    num_bytes = num_bytes or [max(1, len(candidate.encode())) for candidate in candidates]
    total = np.asarray(scores, dtype=float)
    result = {
        "sum": total,
        "mean": total / np.asarray(num_tokens, dtype=float),
        "bytes": total / np.asarray(num_bytes, dtype=float),
    }
    if base is not None:
        result["pmi"] = total - np.asarray(base, dtype=float)
    return result


def credit(scores: np.ndarray, right: int) -> float:
    """Return 1 if the right candidate is best, a share of 1 if it ties with others for the best, else 0."""
    best = np.isclose(scores, scores.max(), rtol=0, atol=1e-9)
    return float(best[right] / best.sum())


def expected_rank(scores: np.ndarray, right: int) -> float:
    """Return the rank of the right candidate from 1, the middle one where it ties."""
    ties = np.isclose(scores, scores[right], rtol=0, atol=1e-9)
    return float(1 + np.sum((scores > scores[right]) & ~ties) + (ties.sum() - 1) / 2)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities in proportion to exp(score)."""
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum()
