"""The contract of a kind of task: what is asked of each item, and what of the answers is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from eval.items.conditions import Conditions, usual_conditions
from eval.items.item import BadItem, Item
from eval.items.loading import LoadedItems
from eval.items.own_options import read_options, right_option
from eval.run.answers import Answers
from eval.run.cache import AnswerCache
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.run.results import TaskResult
from eval.run.space import Respondent
from eval.scorers import Answer
from eval.task import Kind, Task


@dataclass(frozen=True)
class Collected:
    """The answers of one task, ready to be scored.

    Attributes:
        answers: condition -> index of the item -> its answer. An item that has none in a condition is left out.
        not_computed: condition -> why it has no figures, or how they differ from what was asked for.
    """

    answers: Mapping[str, Mapping[int, Answer]]
    not_computed: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Procedure(Kind, Protocol):
    """How a kind of task asks and collects.

    A kind of your own is a frozen dataclass that derives from this class: an instance is both what the task declares
    and how it is carried out. `answer_type`, `add_requests` and `collect` must be defined; the others have a default.
    The kinds that come with omni are declared in `eval.task` and carried out by the modules next to this one.
    """

    # whether it compares embeddings, which a joint space has and a language model has not
    compares_embeddings: ClassVar[bool] = False
    # whether `measure` does all of it, by reading frozen features or whatever else the model holds: nothing is asked
    reads_features: ClassVar[bool] = False
    answer_type: ClassVar[type]  # the class of answers that `collect` gives, which the scorer must take
    # Each item has options after `prepare`, which `collect` gives as a `ChoiceAnswer`: then other ways of ranking them
    # (`eval.run.baselines`) are compared with the model's.
    ranks_candidates: ClassVar[bool] = False
    may_repeat_options: ClassVar[bool] = False  # whether an item that offers the same text twice can be scored

    def check(self, task: Task) -> None:
        """See `eval.task.Kind`; by default every task fits."""

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Return the items as they will be asked about: given options, or moved to the bad ones with a reason.

        Raises:
            ValueError: the task cannot be asked about these items.
        """
        return loaded

    def conditions(self, task: Task, items: Sequence[Item], seed: int) -> Conditions:
        """Return the conditions in which each item is put; `own` must be among them.

        Raises:
            ValueError: one that is needed cannot be built.
        """
        return usual_conditions(task, items, seed)

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return what the result says of the kind's settings, as JSON values."""
        return {}

    def measure(
        self,
        model: Respondent,
        task: Task,
        cache: AnswerCache,
        *,
        limit: int | None,
        seed: int,
        progress: bool,
    ) -> TaskResult:
        """Carry out a task of a kind that `reads_features`, of which nothing is asked.

        Raises:
            ValueError, OSError: it cannot be carried out, which the result says.
        """
        raise ValueError(f"kind {type(self).__name__} reads features, but does not say how: implement measure(...)")

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Add what the plan needs answered; requests that are there already are shared."""
        raise NotImplementedError(f"{type(self).__name__} does not implement add_requests(plan, requests)")

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return the answers to score, of the items with the indices `kept`: those whose own media could be taken."""
        raise NotImplementedError(f"{type(self).__name__} does not implement collect(plan, kept, answers)")


def with_bad(loaded: LoadedItems, bad: Mapping[int, str]) -> LoadedItems:
    """Return the items without those at the indices `bad`, which join the bad ones with a reason."""
    return replace(
        loaded,
        items=tuple(item for index, item in enumerate(loaded.items) if index not in bad),
        bad=(*loaded.bad, *(BadItem(loaded.items[index].id, reason) for index, reason in bad.items())),
    )


def with_own_options(loaded: LoadedItems, key: str, right_by: str) -> LoadedItems:
    """Return the items with the options under `key` of their rows; those without right ones are bad, and named."""
    items, bad = [], {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # the same 1,000 classes of 50,000 items are held once
    for index, item in enumerate(loaded.items):
        try:
            options = read_options(item.meta, key)
            options = shared.setdefault(options, options)
            item = replace(item, options=options, right=right_option(item.target, options, right_by))
        except ValueError as error:
            bad[index] = str(error)
        items.append(item)
    return with_bad(replace(loaded, items=tuple(items)), bad)


def without_several_answers(loaded: LoadedItems) -> LoadedItems:
    """Return the items with one right answer; the likelihood of one is no measure where others are right too."""
    bad = {
        index: f"has {len({*item.references})} right answers, where one is needed; only Generate takes several, and "
        "Choose with several=True"
        for index, item in enumerate(loaded.items)
        if len({*item.references}) > 1
    }
    return with_bad(loaded, bad)
