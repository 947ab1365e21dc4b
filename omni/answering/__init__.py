"""Answers of many conversations at once: they join a running batch, and leave it when they end."""

from omni.answering.answer import Answer
from omni.answering.answering import Answering
from omni.answering.contract import AnswerInParts, AnswersQuestions
from omni.answering.events import Finished, Piece, QueueFullError, Statistics, TokenLikelihood
from omni.answering.sampling import Sampling

__all__ = [
    "Answer",
    "AnswerInParts",
    "Answering",
    "AnswersQuestions",
    "Finished",
    "Piece",
    "QueueFullError",
    "Sampling",
    "Statistics",
    "TokenLikelihood",
]
