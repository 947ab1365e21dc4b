"""What the template shows of each kind of section."""

from functools import singledispatch
from typing import Any

from eval.report.bars import task_bars
from eval.report.charts import curve_chart, curve_legend
from eval.report.findings import heading, verdict
from eval.report.media import LARGE_PIXELS, Embedder
from eval.report.sections import (
    AnswerSection,
    ContrastSection,
    CurveSection,
    FreeAnswersSection,
    LegendSection,
    SummarySection,
    TableSection,
    TaskSection,
    TextSection,
)
from eval.report.task_view import candidates, spread, task_view
from eval.report.words import item_count


@singledispatch
def view(section: Any, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    """Return what the template shows of a section; `kind` is the branch of the template.

    Raises:
        TypeError: it is no section.
    """
    raise TypeError(f"{type(section).__name__} is no section of a report; use one of eval.report")


@view.register
def _(section: TaskSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    if section.result.status != "computed":
        return view(SummarySection("This task could not be computed.", [section.result]), embedder, gallery_items)
    return task_view(section.result, embedder, gallery_items)


@view.register
def _(section: SummarySection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    tiles = [
        {
            "name": task.name,
            "title": heading(task),
            "bars": task_bars(task),
            "verdict": verdict(task),
            "items": item_count(task),
            "good": task.difference is not None and task.difference.low > 0,
        }
        for task in section.tasks
        if task.status == "computed"
    ]
    missing = [
        {"name": task.name, "title": heading(task), "reason": task.reason}
        for task in section.tasks
        if task.status != "computed"
    ]
    return {"kind": "summary", "title": section.title, "note": section.note, "tiles": tiles, "missing": missing}


@view.register
def _(section: CurveSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    chart = curve_chart(section.curves, title=section.title, y_label=section.y_label)
    legend = curve_legend(section.curves)
    return {"kind": "curve", "title": section.title, "note": section.note, "chart": chart, "legend": legend}


@view.register
def _(section: AnswerSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    return {
        "kind": "answer",
        "title": section.title,
        "note": section.note,
        "media": [embedder.embed(part, LARGE_PIXELS) for part in section.media],
        "question": section.question,
        "answer": section.answer,
        "target": section.target,
        "top": candidates(section.top, section.target),
    }


@view.register
def _(section: FreeAnswersSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    shown = spread(section.answers, gallery_items)
    items = [{"free": one, "media": [embedder.embed(part) for part in one.media]} for one in shown]
    return {"kind": "free", "title": section.title, "note": section.note, "items": items}


@view.register
def _(section: ContrastSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    shown = spread(section.contrasts, gallery_items)
    return {
        "kind": "contrast",
        "title": section.title,
        "note": section.note,
        "header": section.header,
        "rows": section.rows,
        "remarks": section.remarks,
        "items": [{"contrast": one, "media": [embedder.embed(part) for part in one.media]} for one in shown],
        "total": section.total,
    }


@view.register
def _(section: TableSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    rows, header = section.rows, section.header
    return {"kind": "table", "title": section.title, "note": section.note, "rows": rows, "header": header}


@view.register
def _(section: TextSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    return {"kind": "text", "title": section.title, "note": "", "paragraphs": section.paragraphs}


@view.register
def _(section: LegendSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    return {"kind": "legend", "title": section.title, "note": "", "terms": section.terms}
