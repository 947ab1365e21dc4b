"""Comparisons: is the right answer likelier with its own media than with mismatched ones?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.item import Item
from eval.scorers.answers import ComparisonAnswer
from eval.scorers.base import ItemScore, Scores, mean_of


@dataclass(frozen=True)
class MatchScorer:
    """Counts wins; the primary metric is the share of comparisons in which the own media make the answer likelier."""

    name = "match"
    version = 1
    takes = (ComparisonAnswer,)
    metric = "preference"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return one half."""
        return 0.5

    def score(self, answers: Sequence[ComparisonAnswer], *, condition: str, seed: int) -> Scores:
        """Return the share of wins, and the mean gain in log-likelihood."""
        shares = [float(np.mean([gain_credit(gain) for gain in answer.gains])) for answer in answers]
        gains = [float(np.mean(answer.gains)) for answer in answers]
        estimates = {
            "preference": mean_of(shares, answers),
            "log_likelihood_gain": mean_of(gains, answers, bounds=(-math.inf, math.inf)),
        }
        return Scores(estimates, [_item_score(*one) for one in zip(answers, shares, strict=True)])


def _item_score(answer: ComparisonAnswer, share: float) -> ItemScore:
    text = f"likelier in {share:.0%}"
    note = f"log-likelihood {np.mean(answer.gains):+.2f} against {len(answer.gains)} mismatched; {text}"
    return ItemScore(share, text=text, note=note)


def gain_credit(gain: float) -> float:
    """Return 1 for a gain in log-likelihood, half for none, 0 for a loss."""
    return 0.5 if abs(gain) <= 1e-9 else float(gain > 0)
