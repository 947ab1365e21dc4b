"""The plan of a task: everything that will be asked, and what the answers will be scored by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eval.items.conditions import Condition
from eval.items.item import BadItem, Item
from eval.items.origin import Origin
from eval.scorers import Scorer
from eval.task import Task


@dataclass(frozen=True)
class Plan:
    """A task made concrete.

    Attributes:
        task: the declaration.
        scorer: scores the answers.
        chance: what guessing gives on its primary metric; None where that has no meaning.
        items: the items that will be asked about.
        conditions: condition -> item by item, the prefixes that its question is put with.
        further: the conditions whose drop from the item's own media is reported.
        not_computed: condition -> why it cannot be built.
        bad: rows of the data that cannot be used.
        num_rows: rows of the data.
        settings: everything else that the figures depend on, for the result.
        seed: of whatever is drawn.
        origin: where the items came from.
    """

    task: Task
    scorer: Scorer
    chance: float | None
    items: tuple[Item, ...]
    conditions: Mapping[str, Condition]
    not_computed: Mapping[str, str]
    bad: tuple[BadItem, ...]
    num_rows: int
    settings: Mapping[str, Any]
    seed: int
    further: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
