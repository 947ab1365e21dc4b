"""The item that a report opens with: one that the model gets right."""

import math
from pathlib import Path

from eval.report.media import files_of, media_of
from eval.report.sections import AnswerSection
from eval.run.results import ItemAnswer, RunResult, TaskResult

_LONGEST_HEADING = 80  # characters of an answer


def hero_of(run: RunResult) -> AnswerSection | None:
    """Return an item that is right, of the task whose score stands out most; None where the model gets none right.

    Items whose media are still there come first. Of those that are right it is the one at four fifths by the
    probability of its answer, and the note says how many they are: it shows what an answer looks like, and is not the
    best of them.
    """
    tasks = sorted((task for task in run.tasks if task.status == "computed"), key=_standing, reverse=True)
    right = [(task, item) for task in tasks for item in task.items if is_right(task, item)]
    if not right:
        return None
    right = [pair for pair in right if _is_there(pair[1])] or right
    task = right[0][0]
    found = sorted((item for of, item in right if of is task), key=_sureness)
    item = found[4 * len(found) // 5]
    count = sum(is_right(task, one) for one in task.items)
    note = f"One of the {count} that it gets right, of {len(task.items)} items of one task; the figures are below."
    return AnswerSection(
        f"“{item.answer}” is right." if len(item.answer) <= _LONGEST_HEADING else "This answer is right.",
        item.media,
        item.question,
        item.answer,
        note,
        target=item.target,
        top=item.top,
    )


def is_right(task: TaskResult, item: ItemAnswer) -> bool:
    """Return whether an item is right: a value above one half, or the very words where values are no shares."""
    if not item.answer.strip() or not (item.top or task.settings.get("kind") == "generate"):
        return False  # other kinds compare or search, and their items have no answer to show
    same = item.answer.strip().casefold() == item.target.strip().casefold()
    return same if not (task.percent and task.has_item_values) else item.right > 0.5


def _standing(task: TaskResult) -> float:
    """How far a score is above what media of other items, or guessing, give."""
    if task.difference is not None and task.percent:
        return task.difference.low
    assert task.primary is not None
    return task.primary.low - (task.chance or 0.0) - 1.0 if task.percent else -math.inf


def _is_there(item: ItemAnswer) -> bool:
    return bool(item.media) and all(
        media_of(part) is not None and all(Path(path).is_file() for path in files_of(part)) for part in item.media
    )


def _sureness(item: ItemAnswer) -> float:
    return item.top[0][1] if item.top else 0.0
