"""Figures of an evaluation in the model card of the model's folder."""

import re
from pathlib import Path

from eval.report.words import figure, interval, item_count
from eval.run.results import RunResult
from eval.statistics.intervals import Estimate
from omni.runtime.checksums import renew_checksum
from omni.runtime.files import write_atomically

CARD = "README.md"


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def add_to_card(folder: Path, result: RunResult) -> bool:
    """Write the figures of a suite into the model card, in place of those that it has of this suite.

    Returns:
        Whether there is a card to write into.
    """
    card = folder / CARD
    if not card.is_file():
        return False
    text = card.read_text(encoding="utf-8")
    title = f"## Evaluation: {result.suite}"
    text = re.sub(rf"^{re.escape(title)}\n.*?(?=^## |\Z)", "", text, flags=re.M | re.S)
    header = "| task | score (95 %) | shuffled | chance | linear map | bridge | items |"
    lines = [title, "", header, "|---|---|---|---|---|---|---|"]
    for task in result.tasks:
        if task.status == "computed":
            others = [_value(task.estimate("shuffled")), task.chance, _value(task.linear_map)]
            others.append(_value(task.estimate("bridge")))
            cells = ["-" if value is None else figure(value, task.percent) for value in others]
            figures = " | ".join([interval(task.primary, task.percent), *cells])
            lines.append(f"| {task.name} | {figures} | {item_count(task)} |")
    before, licence, after = text.partition("## Licence\n")
    section = "\n".join(lines) + "\n\n"
    write_atomically(card, before.rstrip("\n") + "\n\n" + section + licence + after)
    renew_checksum(folder, CARD)
    return True
