"""A table for the terminal: the figures of a run."""

from eval.report.words import bad_items_warning, empty_answers_warning, figure, interval, item_count, speed
from eval.run.results import RunResult
from eval.statistics.intervals import Estimate


def summary(result: RunResult) -> str:
    """Return the figures of a run as a table: a line for each task."""
    lines = [
        f"{'task':<32} {'score (95 %)':<26} {'shuffled':>9} {'blank':>9} {'chance':>9} {'probe':>9} "
        f"{'linear map':>10} {'bridge':>9}  items"
    ]
    for task in result.tasks:
        if task.status != "computed":
            lines.append(f"{task.name:<32} not computed: {task.reason}")
            continue
        chance = "-" if task.chance is None else figure(task.chance, task.percent)
        lines.append(
            f"{task.name:<32} {interval(task.primary, task.percent):<26} "
            f"{_short(task.estimate('shuffled'), task.percent):>9} {_short(task.estimate('blank'), task.percent):>9} "
            f"{chance:>9} {_short(task.probe, True):>9} {_short(task.linear_map, task.percent):>10} "
            f"{_short(task.estimate('bridge'), task.percent):>9}  {item_count(task)}"
        )
        lines += [f"  {warning}" for warning in (bad_items_warning(task), empty_answers_warning(task)) if warning]
    if text := speed(result.settings):
        lines += ["", text]
    return "\n".join(lines)


def _short(estimate: Estimate | None, percent: bool) -> str:
    return "-" if estimate is None else figure(estimate.value, percent)
