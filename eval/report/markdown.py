"""`results.md`: the figures as tables."""

from eval.report.confusion import confused_pairs
from eval.report.words import (
    condition_label,
    figure,
    interval,
    is_share,
    item_count,
    origin_words,
    speed,
    warnings_of,
)
from eval.run.results import RunResult, TaskResult


def markdown_report(run: RunResult) -> str:
    """Return the whole of `results.md`."""
    lines = [f"# {run.suite or 'Evaluation'}", ""]
    lines += [f"Model `{run.model.get('fingerprint', '?')[:12]}`; brackets are 95 % intervals.", ""]
    if text := speed(run.settings):
        lines += [text, ""]
    header = ["task", "metric", "score", "shuffled media", "blank", "chance", "score - shuffled", "linear probe"]
    header += ["linear map", "score - linear map", "bridge", "items"]
    lines += ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += [_summary_row(task) for task in run.tasks]
    for task in run.tasks:
        lines += ["", *_task_lines(task)]
    return "\n".join(lines) + "\n"


def _summary_row(task: TaskResult) -> str:
    if task.status != "computed":
        return f"| {task.name} | | not computed: {_cell(task.reason)} | | | | | | | | | |"
    percent = task.percent
    cells = [
        task.name,
        task.metric,
        f"**{interval(task.primary, percent)}**",
        interval(task.estimate("shuffled"), percent),
        interval(task.estimate("blank"), percent),
        "-" if task.chance is None else figure(task.chance, percent),
        interval(task.difference, percent, sign=True),
        interval(task.probe, percent=True),
        interval(task.linear_map, percent),
        interval(task.linear_map_difference, percent, sign=True),
        interval(task.estimate("bridge"), percent),
        item_count(task),
    ]
    return "| " + " | ".join(cells) + " |"


def _task_lines(task: TaskResult) -> list[str]:
    lines = [f"## {task.name}", "", f"{task.description} Scorer `{task.scorer}`, task version {task.version}."]
    if task.status != "computed":
        return [*lines, "", f"Not computed: {task.reason}"]
    for warning in warnings_of(task):
        lines += ["", f"**{warning}**" if warning.startswith("WARNING") else warning]
    metrics = list(dict.fromkeys(metric for scores in task.scores.values() for metric in scores))
    lines += ["", "| condition | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    for condition, scores in task.scores.items():
        cells = [interval(scores.get(metric), is_share(metric, task)) for metric in metrics]
        lines.append(f"| {condition_label(condition)} | " + " | ".join(cells) + " |")
    if task.drops:
        lines += ["", "| condition | own minus it, by item |", "|---|---|"]
        lines += [
            f"| {condition_label(name)} | {interval(drop, task.percent, sign=True)} |"
            for name, drop in task.drops.items()
        ]
    for condition, metric in task.control_metric.items():
        lines += ["", f"The headline figure of {condition_label(condition)} is `{metric}`."]
    if task.confusion is not None and (pairs := confused_pairs(task.confusion)):
        lines += ["", "| right | most often taken for | how often |", "|---|---|---|"]
        lines += ["| " + " | ".join(map(_cell, pair)) + " |" for pair in pairs]
    for part, reason in task.not_computed.items():
        lines += ["", f"Not computed: {part}: {reason}."]
    if task.linear_map_seconds is not None:
        lines += ["", f"The linear map was fitted in {task.linear_map_seconds:g} s."]
    if files := origin_words(task):
        lines += ["", f"Files: {_cell(files)}."]
    settings = "; ".join(f"{name} = {_cell(str(value))}" for name, value in task.settings.items())
    return [*lines, "", f"Settings: {settings}."]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
