"""The contract of a scorer: from the answers in one condition to figures, and a value for each item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from eval.items.item import Item
from eval.metrics.confusion import Confusion
from eval.scorers.answers import Answer
from eval.statistics.intervals import Estimate, mean_interval


@dataclass(frozen=True)
class ItemScore:
    """How one item went.

    Attributes:
        value: the item's value of the primary metric; in [0, 1] where the metric is a share, NaN where it has none.
        text: the answer that people are shown; None = the answer's own.
        top: the likeliest candidates with their probability, the best one first; empty where nothing is ranked.
        note: a remark for people.
    """

    value: float
    text: str | None = None
    top: tuple[tuple[str, float], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Scores:
    """The figures of one condition.

    Attributes:
        estimates: metric -> value with its interval; the primary metric is among them.
        items: one for each answer, in their order; empty where the metric has no value for a single item (BLEU).
        headline: the metric that is compared with the primary one of other conditions, if the primary metric has no
            meaning in this condition; None = the primary metric.
        not_computed: metrics that could not be computed -> why, and what to do; with the items' own media, the primary
            one among them makes the task not computed.
        confusion: how often each class was taken for each; None where there are no classes.
        settings: what else the figures depend on, such as the name of a judge.
    """

    estimates: Mapping[str, Estimate]
    items: Sequence[ItemScore] = field(default_factory=tuple)
    headline: str | None = None
    not_computed: Mapping[str, str] = field(default_factory=dict)
    confusion: Confusion | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Scorer(Protocol):
    """Whatever scores answered items; a class of your own in a file of your own needs only these members.

    A scorer named by its class path is constructed without arguments.
    """

    @property
    def name(self) -> str:
        """What it is called in results, such as `exact-match`."""
        ...

    @property
    def version(self) -> int:
        """Rises with every change that can move a figure; it stands in the result as `NAME-vVERSION`."""
        ...

    @property
    def takes(self) -> tuple[type, ...]:
        """The classes of answers that it scores, such as `(ChoiceAnswer, WrittenAnswer)`."""
        ...

    @property
    def metric(self) -> str:
        """The primary metric, a key of `Scores.estimates`."""
        ...

    @property
    def percent(self) -> bool:
        """Whether the primary metric is a share, which is shown in percent."""
        ...

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return what guessing gives on the primary metric; None where that has no meaning.

        It is called with the items of a task before the model is asked.

        Raises:
            ValueError: an item cannot be scored; the task is not computed, for this reason.
        """
        ...

    def score(self, answers: Sequence[Any], *, condition: str, seed: int) -> Scores:
        """Score the answers to all items in one condition.

        Args:
            answers: at least one, of the classes in `takes`. Only one class occurs in a call.
            condition: `own` = with the items' own media; the others are listed in `eval.items.conditions`.
            seed: of whatever is drawn, such as the resamples of a bootstrap.
        """
        ...


def label_of(scorer: Scorer) -> str:
    """Return the name of a scorer with its version, as it stands in results."""
    return f"{scorer.name}-v{scorer.version}"


def mean_of(values: Sequence[float], answers: Sequence[Answer], bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Return the mean of one value for each answer, with an interval that respects the items' clusters.

    Raises:
        ValueError: there is no value, or not one for each answer.
    """
    if len(values) != len(answers):
        raise ValueError(f"mean_of needs one value for each answer; got {len(values)} values of {len(answers)} answers")
    return mean_interval(values, [answer.item.cluster for answer in answers], bounds=bounds)
