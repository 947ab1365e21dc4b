"""Differences between models, item by item, with intervals and corrected p-values."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from eval.compare.models import NamedRun
from eval.compare.pairing import Paired, pair
from eval.run.results import TaskResult
from eval.statistics.intervals import Estimate, mean_interval, paired_difference
from eval.statistics.significance import holm, paired_p_value


@dataclass(frozen=True)
class Difference:
    """One model less the first one on a task.

    Attributes:
        name: the model.
        estimate: the mean difference over the shared items.
        p_value: of no difference, not corrected; None where there are too few items to tell.
        holm: corrected for all differences of the comparison.
    """

    name: str
    estimate: Estimate
    p_value: float | None
    holm: float | None = None


@dataclass(frozen=True)
class TaskComparison:
    """A task of several models.

    Attributes:
        task: its name.
        names: the models that are compared.
        results: their results.
        scores: the primary metric of each over the shared items.
        differences: of every model but the first.
        paired: the shared items; None = not compared.
        reason: why it is not compared.
        absent: model -> why it is not among those that are compared.
    """

    task: str
    names: list[str]
    results: list[TaskResult]
    scores: list[Estimate] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    paired: Paired | None = None
    reason: str = ""
    absent: dict[str, str] = field(default_factory=dict)


def compare(runs: Sequence[NamedRun]) -> list[TaskComparison]:
    """Compare all tasks of several results, each with those of the first one that has the task.

    A task that cannot be compared says why.

    Raises:
        ValueError: there are fewer than two results.
    """
    if len(runs) < 2:
        raise ValueError("a comparison needs the results of at least two models")
    by_task = [{task.name: task for task in one.run.tasks} for one in runs]
    names = list(dict.fromkeys(name for tasks in by_task for name in tasks))
    compared = [_compare_task(name, runs, [tasks.get(name) for tasks in by_task]) for name in names]
    known = [difference for one in compared for difference in one.differences if difference.p_value is not None]
    corrected = iter(holm([difference.p_value for difference in known if difference.p_value is not None]))
    return [
        replace(
            one,
            differences=[
                difference if difference.p_value is None else replace(difference, holm=next(corrected))
                for difference in one.differences
            ],
        )
        for one in compared
    ]


def _compare_task(task: str, runs: Sequence[NamedRun], results: Sequence[TaskResult | None]) -> TaskComparison:
    names: list[str] = []
    found: list[TaskResult] = []
    absent: dict[str, str] = {}
    for one, result in zip(runs, results, strict=True):
        if result is None:
            absent[one.name] = "was not evaluated on it"
        elif result.status != "computed":
            absent[one.name] = f"not computed: {result.reason}"
        else:
            names.append(one.name)
            found.append(result)
    if len(found) < 2:
        reason = "; ".join(f"{name} {why}" for name, why in absent.items())
        return TaskComparison(task, names, found, reason=reason, absent=absent)
    try:
        paired = pair(names, found)
    except ValueError as error:
        return TaskComparison(task, names, found, reason=str(error), absent=absent)
    values = [[answers[place].right for answers in paired.items] for place in range(len(names))]
    bounds = (0.0, 1.0) if found[0].percent else (float("-inf"), float("inf"))
    scores = [mean_interval(own, paired.clusters, bounds) for own in values]
    differences = [
        Difference(
            name,
            paired_difference(own, values[0], paired.clusters),
            paired_p_value(own, values[0], paired.clusters),
        )
        for name, own in zip(names[1:], values[1:], strict=True)
    ]
    return TaskComparison(task, names, found, scores, differences, paired, absent=absent)
