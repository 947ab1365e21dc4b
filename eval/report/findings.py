"""What the figures of tasks say, as sentences."""

from collections.abc import Sequence

from eval.report.words import figure
from eval.run.results import TaskResult
from eval.statistics.intervals import Estimate

_LEGEND = {
    "shuffled": ("Shuffled media", "the same questions with the media of an item that has another answer."),
    "blank": ("Blank", "the questions without media."),
    "bridge": ("Bridge", "the encoder's own labels as text, without an adapter."),
}
_LINEAR_MAP = (
    "Linear map",
    "a ridge regression from the frozen features to embeddings of the training answers, without adapter or LLM.",
)
_METRICS = {"cider_d": "CIDEr-D", "cider": "CIDEr", "rouge_l": "ROUGE-L", "meteor": "METEOR", "spice": "SPICE"}
_PROBE = ("Linear probe", "a linear classifier of the frozen features, without adapter or LLM.")


def heading(task: TaskResult) -> str:
    """Return the first sentence of a task's description; a sentence with its name where it has none."""
    text = " ".join(task.description.split())
    ends = [place for mark in ("? ", ". ") if (place := text.find(mark)) >= 0]
    first = text[: min(ends) + 1] if ends else text
    return first or f"How well does the model do on {task.name}?"


def details(task: TaskResult) -> str:
    """Return what a task's description says after its first sentence."""
    return " ".join(task.description.split()).removeprefix(heading(task)).strip()


def finding(task: TaskResult) -> str:
    """Return what came out of a task in one or two sentences."""
    assert task.primary is not None
    items = "1 item" if task.num_items == 1 else f"{task.num_items:,} items"
    score = figure(task.primary.value, task.percent)
    if task.metric.startswith("accuracy"):
        says = f"The model is right for {score} of {items}"
    else:
        says = f"Its {metric_words(task.metric)} is {score} over {items}"
    controls = [] if task.chance is None else [f"guessing would give {figure(task.chance, task.percent)}"]
    shuffled = task.estimate("shuffled")
    controls += [] if shuffled is None else [f"media of other items give {figure(shuffled.value, task.percent)}"]
    return f"{says}{'; ' if controls else ''}{' and '.join(controls)}. {verdict(task)}".strip()


def verdict(task: TaskResult) -> str:
    """Return whether a task's score is above its shuffled control and the linear map, as sentences; or nothing."""
    sentences = []
    if task.difference is not None:
        clear = "clearly" if task.difference.low > 0 else "not clearly"
        sentences.append(f"That is {clear} above its shuffled control.")
    if task.linear_map_difference is not None:
        sentences.append(f"It is {_against(task.linear_map_difference)} the linear map.")
    return " ".join(sentences)


def _against(difference: Estimate) -> str:
    if difference.low > 0:
        return "clearly above"
    return "clearly below" if difference.high < 0 else "neither clearly above nor clearly below"


def metric_words(metric: str) -> str:
    """Return the name of a metric as words."""
    return _METRICS.get(metric, metric.replace("_", " "))


def summary_heading(tasks: Sequence[TaskResult]) -> str:
    """Return in one sentence how many scores clear their controls."""
    computed = [task for task in tasks if task.status == "computed"]
    if not computed:
        return "No task could be computed."
    compared = [task for task in computed if task.difference is not None]
    if not compared:
        return "The model was scored on one task." if len(computed) == 1 else f"{len(computed)} tasks were scored."
    clear = sum(task.difference is not None and task.difference.low > 0 for task in compared)
    if len(compared) == 1:
        return f"The score is {'clearly' if clear else 'not clearly'} above its shuffled control."
    if clear == len(compared):
        return f"All {clear} scores are clearly above their shuffled controls."
    above = "is clearly above its shuffled control" if clear < 2 else "are clearly above their shuffled controls"
    return f"{clear or 'None'} of {len(compared)} scores {above}."


def legend(tasks: Sequence[TaskResult]) -> list[tuple[str, str]]:
    """Return the conditions and baselines that the tasks have, with what each is."""
    computed = [task for task in tasks if task.status == "computed"]
    entries = [words for name, words in _LEGEND.items() if any(task.estimate(name) for task in computed)]
    entries += [_LINEAR_MAP] if any(task.linear_map for task in computed) else []
    return entries + ([_PROBE] if any(task.probe for task in computed) else [])
