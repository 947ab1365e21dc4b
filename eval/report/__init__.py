"""Reports: `results.md` as tables, `report.html` as one self-contained page with charts and a gallery."""

from eval.report.contents import sections_of
from eval.report.html import write_report
from eval.report.markdown import markdown_report
from eval.report.sections import (
    AnswerSection,
    Contrast,
    ContrastSection,
    CurveSection,
    FreeAnswer,
    FreeAnswersSection,
    LegendSection,
    Section,
    TableSection,
    TextSection,
)

__all__ = [
    "AnswerSection",
    "Contrast",
    "ContrastSection",
    "CurveSection",
    "FreeAnswer",
    "FreeAnswersSection",
    "LegendSection",
    "Section",
    "TableSection",
    "TextSection",
    "markdown_report",
    "sections_of",
    "write_report",
]
