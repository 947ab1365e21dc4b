"""The sections of a page. They are plain data; `html.py` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.run.results import TaskResult


@dataclass(frozen=True)
class TaskSection:
    """One task: its figures next to the controls, and a gallery of items."""

    result: TaskResult


@dataclass(frozen=True)
class SummarySection:
    """All tasks of one run at a glance, those that could not be computed too."""

    title: str
    tasks: Sequence[TaskResult]
    note: str = ""


@dataclass(frozen=True)
class CurveSection:
    """Curves over steps, such as losses: name -> (step, value) pairs."""

    title: str
    curves: dict[str, Sequence[tuple[float, float]]]
    note: str = ""
    y_label: str = "loss"


@dataclass(frozen=True)
class AnswerSection:
    """One question and its answer, shown large.

    Attributes:
        media: JSON parts, such as `{"type": "image", "path": "frog.png"}`.
        target: the right answer; empty = there is none.
        top: the likeliest candidates with their probability; empty for an answer in the model's own words.
    """

    title: str
    media: Sequence[dict[str, Any]]
    question: str
    answer: str
    note: str = ""
    target: str = ""
    top: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class FreeAnswer:
    """An answer in the model's own words; the fields are those of `AnswerSection`."""

    media: Sequence[dict[str, Any]]
    question: str
    answer: str
    target: str = ""


@dataclass(frozen=True)
class FreeAnswersSection:
    """A gallery of answers in the model's own words, next to what was expected."""

    title: str
    answers: Sequence[FreeAnswer]
    note: str = ""


@dataclass(frozen=True)
class TableSection:
    """A table of texts."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class TextSection:
    """Paragraphs; the text is escaped."""

    title: str
    paragraphs: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Contrast:
    """One item with the answers of several models.

    Attributes:
        media: JSON parts, as in `AnswerSection`.
        answers: for each model its name, its answer, and whether that is right.
    """

    media: Sequence[dict[str, Any]]
    question: str
    target: str
    answers: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True)
class ContrastSection:
    """A table of models, and items on which they disagree; `total` is the number of all such items."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    contrasts: Sequence[Contrast]
    total: int
    note: str = ""
    remarks: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class LegendSection:
    """What terms mean and how the run went; small print at the end of a page."""

    terms: Sequence[tuple[str, str]]
    title: str = "What the terms mean"


Section = (
    ContrastSection
    | TaskSection
    | SummarySection
    | CurveSection
    | AnswerSection
    | FreeAnswersSection
    | TableSection
    | TextSection
    | LegendSection
)
