"""What the template shows of one task."""

from collections.abc import Sequence
from typing import Any, TypeVar

from eval.report.bars import task_bars
from eval.report.confusion import SMALL, confused_pairs, confusion_map, confusion_of
from eval.report.findings import details, finding, heading, metric_words
from eval.report.media import Embedder
from eval.report.words import (
    condition_label,
    interval,
    is_share,
    item_count,
    length,
    origin_words,
    warnings_of,
)
from eval.run.results import ItemAnswer, TaskResult

Value = TypeVar("Value")

# What the target of an item is, by the kind of its task.
_TARGETS = {"generate": "expected", "match": "text that is compared"}


def task_view(task: TaskResult, embedder: Embedder, gallery_items: int) -> dict[str, Any]:
    """Return what the template shows of a task that was computed."""
    metrics = list(dict.fromkeys(metric for scores in task.scores.values() for metric in scores))
    rows = [
        [condition_label(condition), *(interval(scores.get(metric), is_share(metric, task)) for metric in metrics)]
        for condition, scores in task.scores.items()
    ]
    shown = spread(task.items, gallery_items)
    filtered = task.percent and task.has_item_values
    return {
        "kind": "task",
        "title": heading(task),
        "note": details(task),
        "task": task,
        "finding": finding(task),
        "bars": task_bars(task),
        "header": ["condition", *map(metric_words, metrics)],
        "rows": rows,
        "confusion": confusion_view(task),
        "facts": _facts(task),
        "warning": " ".join(warnings_of(task)),
        "items": [item_view(item, embedder) for item in shown],
        "filter": filtered,
        "target_name": _TARGETS.get(str(task.settings.get("kind")), "right answer"),
        "counts": {
            "all": len(shown),
            "right": sum(item.right > 0.5 for item in shown),
            "wrong": sum(item.right <= 0.5 for item in shown),  # neither of the two where an item has no value
        },
        "total": len(task.items),
        "question": common_question(shown),
    }


def confusion_view(task: TaskResult) -> dict[str, Any] | None:
    """Return the matrix and the pairs most often confused; None where a task has no classes."""
    confusion = confusion_of(task)
    if confusion is None:
        return None
    return {
        "map": confusion_map(confusion),
        "pairs": confused_pairs(confusion, 5 if len(confusion.labels) <= SMALL else 10),
        "open": len(confusion.labels) <= SMALL,
    }


def item_view(item: ItemAnswer, embedder: Embedder) -> dict[str, Any]:
    """Return what the template shows of an item."""
    return {
        "media": [embedder.embed(part) for part in item.media],
        "question": item.question,
        "target": item.target,
        "answer": item.answer,
        "note": item.note.removesuffix(item.answer).rstrip("; "),  # some notes end with the answer, which is shown
        "verdict": "right" if item.right > 0.5 else "wrong" if item.right <= 0.5 else "unknown",
        "top": candidates(item.top, item.target),
    }


def candidates(top: Sequence[tuple[str, float]], target: str) -> list[dict[str, Any]]:
    """Return the likeliest candidates with their probability in percent."""
    return [{"text": text, "percent": f"{100 * probability:.0f}", "right": text == target} for text, probability in top]


def spread(items: Sequence[Value], number: int) -> list[Value]:
    """Return at most `number` items, evenly spread, so that the gallery shows right and wrong as they occur."""
    if len(items) <= number:
        return list(items)
    return [items[index * len(items) // number] for index in range(number)]


def common_question(items: Sequence[ItemAnswer]) -> str:
    """Return the question that all items share, shown once above them; empty where they differ."""
    questions = {item.question for item in items}
    return questions.pop() if len(questions) == 1 else ""


def _facts(task: TaskResult) -> list[tuple[str, str]]:
    facts = [("task", f"{task.name}, version {task.version}"), ("scorer", task.scorer), ("items", item_count(task))]
    if task.difference is not None:
        facts.append(("score minus shuffled", interval(task.difference, task.percent, sign=True)))
    facts += [
        (f"own minus {condition_label(name)}", interval(drop, task.percent, sign=True))
        for name, drop in task.drops.items()
    ]
    if task.linear_map_difference is not None:
        facts.append(("score minus linear map", interval(task.linear_map_difference, task.percent, sign=True)))
    if task.linear_map_seconds is not None:
        facts.append(("linear map fitted in", length(task.linear_map_seconds)))
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
