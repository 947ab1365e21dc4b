"""Scorers: from the answers of a model to figures with intervals. `eval.scorers.Scorer` is the contract of your own."""

from eval.scorers.answers import (
    Answer,
    ChoiceAnswer,
    ComparisonAnswer,
    ConflictAnswer,
    LabelSetAnswer,
    RankingAnswer,
    WrittenAnswer,
)
from eval.scorers.base import ItemScore, Scorer, Scores, label_of, mean_of
from eval.scorers.finding import SCORERS, get_scorer

__all__ = [
    "SCORERS",
    "Answer",
    "ChoiceAnswer",
    "ComparisonAnswer",
    "ConflictAnswer",
    "ItemScore",
    "LabelSetAnswer",
    "RankingAnswer",
    "Scorer",
    "Scores",
    "WrittenAnswer",
    "get_scorer",
    "label_of",
    "mean_of",
]
