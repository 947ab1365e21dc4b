"""`report.html`: one self-contained page from sections. No script, no address outside the page, works offline."""

import importlib.resources
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from eval.report.charts import Bar, bar_chart, curve_chart
from eval.report.confusion import confused_pairs, confusion_map
from eval.report.media import Embedder
from eval.report.sections import (
    AnswerSection,
    ContrastSection,
    CurveSection,
    Section,
    SummarySection,
    TableSection,
    TaskSection,
    TextSection,
)
from eval.report.words import (
    condition_label,
    figure,
    interval,
    is_share,
    item_count,
    origin_words,
    warnings_of,
)
from eval.run.results import ItemAnswer, TaskResult
from eval.statistics.intervals import Estimate
from omni.runtime.files import write_atomically

Value = TypeVar("Value")

# Bytes of embedded media in a page, so that it stays below about 8 MB with everything else.
MEDIA_BUDGET = 7_000_000
GALLERY_ITEMS = 24


def write_report(
    path: Path,
    sections: Sequence[Section],
    *,
    title: str,
    intro_html: str = "",
    gallery_items: int = GALLERY_ITEMS,
    media_budget: int = MEDIA_BUDGET,
) -> None:
    """Write a page from sections, atomically.

    Args:
        path: the file of the page.
        sections: in the order of the page; those of one evaluation come from `sections_of`.
        title: the title of the page; it is escaped.
        intro_html: a paragraph under the title; trusted HTML, not escaped.
        gallery_items: the most items that a task's gallery shows, spread over right and wrong ones as they occur.
        media_budget: bytes of embedded pictures and sounds; those that do not fit are shown by their file names.
    """
    embedder = Embedder(media_budget)
    views = [_view(section, embedder, gallery_items) for section in sections]
    for number, view in enumerate(views):
        view["number"] = number
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_read("page.html.j2"))
    page = template.render(
        title=title,
        intro=Markup(intro_html),
        style=Markup(_read("page.css")),
        sections=views,
        left_out=embedder.left_out,
    )
    write_atomically(path, page)


def _read(name: str) -> str:
    return importlib.resources.files("eval.report").joinpath(name).read_text(encoding="utf-8")


@singledispatch
def _view(section: Any, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    raise TypeError(f"{type(section).__name__} is no section of a report; use one of eval.report")


@_view.register
def _(section: TaskSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    task = section.result
    view: dict[str, Any] = {"kind": "task", "title": task.name, "note": task.description, "task": task}
    if task.status != "computed":
        return view | {"chart": None, "items": [], "rows": [], "header": [], "facts": [], "warning": ""}
    metrics = list(dict.fromkeys(metric for scores in task.scores.values() for metric in scores))
    rows = [
        [condition_label(condition), *(interval(scores.get(metric), is_share(metric, task)) for metric in metrics)]
        for condition, scores in task.scores.items()
    ]
    shown = spread(task.items, gallery_items)
    return view | {
        "chart": task_chart(task),
        "header": ["condition", *(metric.replace("_", " ") for metric in metrics)],
        "rows": rows,
        "headline": headline(task),
        "confusion": None if task.confusion is None else confusion_map(task.confusion),
        "confused": [] if task.confusion is None else confused_pairs(task.confusion),
        "facts": _facts(task),
        "warning": " ".join(warnings_of(task)),
        "items": [_item_view(item, embedder) for item in shown],
        "filter": task.percent,
        "counts": {
            "all": len(shown),
            "right": sum(item.right > 0.5 for item in shown),
            "wrong": sum(item.right <= 0.5 for item in shown),  # neither of the two where an item has no value
        },
        "total": len(task.items),
        "question": common_question(shown),
    }


@_view.register
def _(section: SummarySection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    computed = [task for task in section.tasks if task.status == "computed"]
    missing = [task for task in section.tasks if task.status != "computed"]
    return {
        "kind": "summary",
        "title": section.title,
        "note": section.note,
        "tiles": [
            {"name": task.name, "headline": headline(task), "description": task.description} for task in computed
        ],
        "missing": [{"name": task.name, "reason": task.reason} for task in missing],
    }


@_view.register
def _(section: CurveSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    chart = curve_chart(section.curves, title=section.title, y_label=section.y_label)
    return {"kind": "curve", "title": section.title, "note": section.note, "chart": chart}


@_view.register
def _(section: AnswerSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    media = [embedder.embed(part) for part in section.media]
    return {
        "kind": "answer",
        "title": section.title,
        "note": section.note,
        "media": media,
        "question": section.question,
        "answer": section.answer,
    }


@_view.register
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


@_view.register
def _(section: TableSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    rows, header = section.rows, section.header
    return {"kind": "table", "title": section.title, "note": section.note, "rows": rows, "header": header}


@_view.register
def _(section: TextSection, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    return {"kind": "text", "title": section.title, "note": "", "paragraphs": section.paragraphs}


def headline(task: TaskResult) -> dict[str, str]:
    """Return the figures of a task that are shown large: score, interval, shuffled control, chance and a verdict."""
    primary = task.primary
    assert primary is not None
    shuffled, difference = task.estimate("shuffled"), task.difference
    verdict = ""
    if difference is not None and difference.low > 0:
        verdict = "above its shuffled control"
    elif difference is not None:
        verdict = "not clearly above its shuffled control"
    if task.linear_map_difference is not None:
        verdict += f"{'; ' if verdict else ''}{_against(task.linear_map_difference)} the linear map"
    bridge = task.estimate("bridge")
    return {
        "score": figure(primary.value, task.percent),
        "low": figure(primary.low, task.percent).removesuffix(" %"),
        "high": figure(primary.high, task.percent),
        "metric": task.metric.replace("_", " "),
        "shuffled": "-" if shuffled is None else figure(shuffled.value, task.percent),
        "chance": "-" if task.chance is None else figure(task.chance, task.percent),
        "linear_map": "" if task.linear_map is None else figure(task.linear_map.value, task.percent),
        "bridge": "" if bridge is None else figure(bridge.value, task.percent),
        "items": item_count(task),
        "verdict": verdict,
        "good": "yes" if difference is not None and difference.low > 0 else "no",
    }


def _against(difference: Estimate) -> str:
    if difference.low > 0:
        return "above"
    return "below" if difference.high < 0 else "not clearly above"


def task_chart(task: TaskResult) -> Markup:
    """Draw the bars of a task: its score, other conditions, controls, probe and baselines, with chance as a line."""
    named = ("own", "shuffled", "blank", "bridge")
    order = ["own", *(name for name in task.scores if name not in named), "shuffled", "blank", "bridge"]
    bars: list[Bar] = []
    for condition in order:
        estimate = task.estimate(condition)
        if estimate is not None:
            kind = "own" if condition == "own" else "control" if condition in named else "other"
            bars.append(Bar(condition_label(condition), estimate, kind, interval(estimate, task.percent)))
    if task.linear_map is not None:
        bars.append(Bar("linear map", task.linear_map, "probe", interval(task.linear_map, task.percent)))
    if task.probe is not None:
        bars.append(Bar("linear probe", task.probe, "probe", interval(task.probe, percent=True)))
    return bar_chart(bars, chance=task.chance, maximum=chart_maximum(task, bars), title=f"{task.name}: scores")


def chart_maximum(task: TaskResult, bars: Sequence[Bar]) -> float:
    """Return the right end of the scale: 100 %, or less where all is low, so that bars can be told apart."""
    highest = max([bar.estimate.high for bar in bars if bar.estimate.high < float("inf")], default=1.0)
    highest = max(highest, task.chance or 0.0, 1e-6) * 1.08
    return min(1.0, highest) if task.percent else highest


def _facts(task: TaskResult) -> list[tuple[str, str]]:
    facts = [("scorer", task.scorer), ("task version", str(task.version))]
    if task.difference is not None:
        facts.append(("score minus shuffled", interval(task.difference, task.percent, sign=True)))
    facts += [
        (f"own minus {condition_label(name)}", interval(drop, task.percent, sign=True))
        for name, drop in task.drops.items()
    ]
    if task.linear_map_difference is not None:
        facts.append(("score minus linear map", interval(task.linear_map_difference, task.percent, sign=True)))
    if task.linear_map_seconds is not None:
        facts.append(("linear map fitted in", f"{task.linear_map_seconds:g} s"))
    facts += [(f"headline of {condition_label(name)}", metric) for name, metric in task.control_metric.items()]
    facts += [("files", origin_words(task))] if origin_words(task) else []
    facts += [(name.replace("_", " "), _plain(value)) for name, value in task.settings.items()]
    return facts + [(f"not computed: {part}", reason) for part, reason in task.not_computed.items()]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)


def spread(items: Sequence[Value], number: int) -> list[Value]:
    """Return at most `number` items, evenly spread, so that the gallery shows right and wrong as they occur."""
    if len(items) <= number:
        return list(items)
    return [items[index * len(items) // number] for index in range(number)]


def common_question(items: Sequence[ItemAnswer]) -> str:
    """Return the question that all items share, shown once above them; empty where they differ."""
    questions = {item.question for item in items}
    return questions.pop() if len(questions) == 1 else ""


def _item_view(item: ItemAnswer, embedder: Embedder) -> dict[str, Any]:
    top = [
        {"text": text, "percent": f"{100 * probability:.0f}", "right": text == item.target}
        for text, probability in item.top
    ]
    return {
        "id": item.id,
        "media": [embedder.embed(part) for part in item.media],
        "question": item.question,
        "target": item.target,
        "answer": item.answer,
        "note": item.note,
        "verdict": "right" if item.right > 0.5 else "wrong" if item.right <= 0.5 else "unknown",
        "top": top,
    }
