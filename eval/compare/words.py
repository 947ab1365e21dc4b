"""A comparison as text: for the terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eval.compare.differences import Difference, TaskComparison
from eval.report.words import interval

HOLM = "p values are corrected by Holm for all differences in this comparison"


def p_text(difference: Difference) -> str:
    """Return the corrected p-value of a difference."""
    if difference.holm is None:
        return "?"
    return "< 0.001" if difference.holm < 0.001 else f"{difference.holm:.3f}"


def remarks(compared: TaskComparison) -> list[str]:
    """Return sentences about what is left out of the comparison of a task, and what else a reader should know."""
    assert compared.paired is not None
    absent = [f"{name} is not among them: {why}." for name, why in compared.absent.items()]
    return [note for note in (*absent, missing_text(compared), *compared.paired.notes) if note]


def missing_text(compared: TaskComparison) -> str:
    """Return how many items are left out because a model lacks them; empty where all have all."""
    if compared.paired is None or not any(compared.paired.missing):
        return ""
    lacking = [
        f"{name} lacks {len(ids)} ({', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})"
        for name, ids in zip(compared.names, compared.paired.missing, strict=True)
        if ids
    ]
    return f"Left out: {'; '.join(lacking)}."


def table_rows(compared: TaskComparison) -> list[list[str]]:
    """Return a row for each model: name, score, difference from the first, its p-value."""
    percent = compared.results[0].percent
    rows = [[compared.names[0], interval(compared.scores[0], percent), "", ""]]
    for difference, score in zip(compared.differences, compared.scores[1:], strict=True):
        own = interval(difference.estimate, percent, sign=True)
        rows.append([difference.name, interval(score, percent), own, p_text(difference)])
    return rows


def as_text(comparisons: Sequence[TaskComparison]) -> str:
    """Return a table for each task."""
    lines: list[str] = []
    for one in comparisons:
        if one.paired is None:
            lines += [f"{one.task}: not compared: {one.reason}", ""]
            continue
        lines.append(f"{one.task} ({one.results[0].metric}, {len(one.paired.items)} items)")
        rows = [["", "score (95 %)", f"- {one.names[0]}", "p"], *table_rows(one)]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines += [f"  {remark}" for remark in remarks(one)]
        lines.append("")
    return "\n".join(line.rstrip() for line in [*lines, f"Brackets are 95 % intervals; {HOLM}."])


def as_json(comparisons: Sequence[TaskComparison]) -> list[dict[str, Any]]:
    """Return what `comparison.json` holds."""
    found = []
    for one in comparisons:
        entry: dict[str, Any] = {"task": one.task, "models": one.names, "reason": one.reason, "absent": one.absent}
        if one.paired is not None:
            entry |= {
                "metric": one.results[0].metric,
                "num_items": len(one.paired.items),
                "missing": dict(zip(one.names, one.paired.missing, strict=True)),
                "notes": one.paired.notes,
                "scores": {name: asdict(score) for name, score in zip(one.names, one.scores, strict=True)},
                "differences": [asdict(difference) for difference in one.differences],
            }
        found.append(entry)
    return found
