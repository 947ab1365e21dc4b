"""Figures as text, the same in Markdown and in HTML."""

import math
from collections.abc import Mapping
from typing import Any

from eval.run.results import TaskResult
from eval.statistics.intervals import Estimate

CONDITION_LABELS = {
    "own": "own media",
    "shuffled": "shuffled media",
    "blank": "no media (blank)",
    "bridge": "labels as text (bridge)",
}


def condition_label(condition: str) -> str:
    """Return a condition in words."""
    if condition.startswith("only-"):
        return condition.removeprefix("only-").replace("+", " and ") + " only"
    if condition.startswith(("missing-", "predicted-")):
        kind, _, modality = condition.partition("-")
        return f"{modality} missing" if kind == "missing" else f"{modality} missing, predicted"
    return CONDITION_LABELS.get(condition, condition)


def figure(value: float, percent: bool, sign: bool = False) -> str:
    """Return a value in percent with one decimal, or with three decimals."""
    if math.isnan(value) or math.isinf(value):
        return "?"
    plus = "+" if sign else ""
    return f"{100 * value:{plus}.1f} %" if percent else f"{value:{plus}.3f}"


def interval(estimate: Estimate | None, percent: bool, sign: bool = False) -> str:
    """Return a value with its 95 % interval, or a dash."""
    if estimate is None:
        return "-"
    low, high = figure(estimate.low, percent, sign), figure(estimate.high, percent, sign)
    low = low.removesuffix(" %")
    return f"{figure(estimate.value, percent, sign)} [{low}, {high}]"


_SHARES = (
    *("accuracy", "recall", "preference", "exact", "precision", "f1", "macro_f1", "top_", "yes_share", "unparsed"),
    *("incomplete", "lwlrap", "not_judged", "names_both", "wups"),
)


# Shares that say how a model answers, not how well.
_NEITHER = {"unparsed", "incomplete", "yes_share"}


def higher_is_better(metric: str) -> bool | None:
    """Return whether a higher value of a metric is better; None where neither is."""
    return None if metric in _NEITHER else not metric.endswith(("error", "error_rate"))


def is_share(metric: str, task: TaskResult) -> bool:
    """Return whether a metric is shown in percent: the task says it of its primary one, names say it of the others."""
    if metric == task.metric:
        return task.percent
    return metric.startswith(_SHARES)


def bad_items_warning(result: TaskResult, loud_share: float = 0.05) -> str:
    """Return a sentence about unusable items; loud above a share of them, empty without any."""
    if not result.bad:
        return ""
    total = result.num_items + len(result.bad)
    named = ", ".join(item["id"] for item in result.bad[:5]) + (", ..." if len(result.bad) > 5 else "")
    text = f"{len(result.bad)} of {total} items could not be used ({named})"
    if result.bad_share > loud_share:
        return f"WARNING: {text}. The figures stand for the rest only."
    return text + "."


def item_count(result: TaskResult) -> str:
    """Return the number of items that a figure stands for, with those that could not be used and the empty answers."""
    notes = [f"{len(result.bad)} bad"] if result.bad else []
    notes += [f"{result.num_empty} empty"] if result.num_empty else []
    notes += [f"{len(result.origin.left_out)} left out"] if result.origin.left_out else []
    return f"{result.num_items} ({', '.join(notes)})" if notes else str(result.num_items)


def warnings_of(result: TaskResult) -> list[str]:
    """Return what a reader has to know of the items of a task, a sentence each."""
    found = (
        official_warning(result),
        *(f"WARNING: {note}." for note in result.origin.notes),
        left_out_note(result),
        bad_items_warning(result),
        empty_answers_warning(result),
    )
    return [warning for warning in found if warning]


def left_out_note(result: TaskResult) -> str:
    """Return a sentence about rows that are no items, such as those that stand there twice; empty without any."""
    rows = result.origin.left_out
    if not rows:
        return ""
    named = "; ".join(f"{row.id}: {row.reason}" for row in rows[:3]) + ("; ..." if len(rows) > 3 else "")
    return f"{len(rows)} {'row is' if len(rows) == 1 else 'rows are'} left out ({named})."


def origin_words(result: TaskResult) -> str:
    """Return which official files the items were read from; empty for other data, and for older results."""
    origin = result.origin
    return f"{origin.folder} (layout: {origin.layout})" if origin.folder else ""


def official_warning(result: TaskResult) -> str:
    """Return a sentence where a benchmark's files have another number of items than the official one."""
    official = result.settings.get("official_items")
    found = result.num_rows - len(result.origin.left_out)
    if official is None or official == found:
        return ""
    return (
        f"WARNING: the official number of items is {official:,}, and these files have {found:,}: the figure is not the "
        "benchmark's."
    )


def empty_answers_warning(result: TaskResult) -> str:
    """Return a sentence about answers without a word, which count as answers; empty without any."""
    if not result.num_empty:
        return ""
    empty = f"{result.num_empty} of {result.num_items} answers"
    return f"WARNING: {empty} are empty: the model wrote nothing, which is scored like any other answer."


def length(seconds: float) -> str:
    """Return a time in the unit that people would use: `0.4 s`, `12 s`, `3 min 20 s`, `33 min`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{minutes} min" if not hours else f"{hours} h {minutes} min" if minutes else f"{hours} h"


_PARTS = {"media": "reading media", "encoder": "encoders", "llm": "language model", "rest": "the rest"}


def speed(settings: Mapping[str, Any]) -> str:
    """Return a sentence about the speed of a run and where its time went; empty where it asked nothing, or is older."""
    if "items_per_second" not in settings:
        return ""
    shares = ", ".join(f"{_PARTS.get(part, part)} {share:.0%}" for part, share in settings["time_shares"].items())
    processes = f" with {settings['processes']} processes" if "processes" in settings else ""
    rate = settings["items_per_second"]
    pace = f"{rate:.3g} items/s" if rate >= 1 or not rate else f"{length(1 / rate)} an item"
    whole = f", {length(settings['seconds'])} in all" if "seconds" in settings else ""
    return f"{pace}{processes}{whole}. Time: {shares}."
