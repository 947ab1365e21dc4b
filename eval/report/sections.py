"""The sections of a page. They are plain data; `html.py` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.report.words import speed
from eval.run.results import RunResult, TaskResult


@dataclass(frozen=True)
class TaskSection:
    """One task: its figures next to the controls, and a gallery of items."""

    result: TaskResult


@dataclass(frozen=True)
class SummarySection:
    """All tasks of one run in one chart."""

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
    """One question and its answer. `media` are JSON parts, such as `{"type": "image", "path": "frog.png"}`."""

    title: str
    media: Sequence[dict[str, Any]]
    question: str
    answer: str
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


Section = ContrastSection | TaskSection | SummarySection | CurveSection | AnswerSection | TableSection | TextSection


def sections_of(run: RunResult, title: str = "") -> list[Section]:
    """Return the sections of one run: a chart of all its tasks, then each task."""
    return [
        SummarySection(title or run.suite or "Results", run.tasks, speed(run.settings)),
        *(TaskSection(task) for task in run.tasks),
    ]
