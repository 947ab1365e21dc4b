"""Figures of an evaluation in the model card of the model's folder."""

import re
from pathlib import Path

from eval.report.words import figure, interval, item_count
from eval.run.results import RunResult
from omni.runtime.checksums import renew_checksum
from omni.runtime.files import write_atomically

CARD = "README.md"


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
    lines = [title, "", "| task | score (95 %) | shuffled | chance | items |", "|---|---|---|---|---|"]
    for task in result.tasks:
        if task.status == "computed":
            shuffled = task.estimate("shuffled")
            control = "-" if shuffled is None else figure(shuffled.value, task.percent)
            chance = "-" if task.chance is None else figure(task.chance, task.percent)
            lines.append(
                f"| {task.name} | {interval(task.primary, task.percent)} | {control} | {chance} | {item_count(task)} |"
            )
    before, licence, after = text.partition("## Licence\n")
    section = "\n".join(lines) + "\n\n"
    write_atomically(card, before.rstrip("\n") + "\n\n" + section + licence + after)
    renew_checksum(folder, CARD)
    return True
