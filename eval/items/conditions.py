"""Conditions: the ways in which an item's question is put, from its own media to none.

A condition gives each item a list of prefixes; its value for an item is the mean over them.

    own              the item's own media
    blank            no media (control)
    shuffled         the media of an item with another answer (control)
    only-image       a subset of the media (`Task.only`)
    reference        media of the training split, the same for all items: not a control but the base of `pmi`
    bridge           no media, but the labels that their encoders' own classifiers give, as text (`eval.run.baselines`)
    bridge-reference the same of the reference media: the base of the bridge's `pmi`
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from eval.items.controls import derangement, derangement_within
from eval.items.item import Item
from eval.items.prefix import Prefix
from eval.items.spellings import one_spelling
from eval.task import Task

OWN = "own"
BLANK = "blank"
SHUFFLED = "shuffled"
REFERENCE = "reference"
BRIDGE = "bridge"
BRIDGE_REFERENCE = "bridge-reference"

Condition = list[list[Prefix]]


@dataclass(frozen=True)
class Conditions:
    """The conditions of a task.

    Attributes:
        prefixes: condition -> item by item, the prefixes that its question is put with.
        not_computed: condition -> why it cannot be built.
        shuffles: the derangements behind the shuffled control: for each item the index of the item whose media it is
            shown. Empty where there is no such control.
    """

    prefixes: dict[str, Condition]
    not_computed: dict[str, str]
    shuffles: list[list[int]]


def only_name(modalities: Sequence[str]) -> str:
    """Return the name of the condition that shows only some modalities."""
    return "only-" + "+".join(modalities)


def usual_conditions(
    task: Task,
    items: Sequence[Item],
    seed: int,
    references: Sequence[Item] = (),
    groups: Sequence[Hashable] | None = None,
) -> Conditions:
    """Return the item's own media, the two controls, the subsets that the task names, and the reference media.

    groups: of each item, within which the shuffled control exchanges media; None = among all items.
    """
    prefixes: dict[str, Condition] = {OWN: [[item.prefix(item.media)] for item in items]}
    prefixes[BLANK] = [[item.prefix(())] for item in items]
    if references:
        prefixes[REFERENCE] = [[item.prefix(one.media) for one in references] for item in items]
    for modalities in task.only:
        prefixes[only_name(modalities)] = [
            [item.prefix(tuple(part for part in item.media if part.modality in modalities))] for item in items
        ]
    answers = one_spelling([item.target for item in items])
    draws = range(seed, seed + task.num_shuffles)
    drawn = [derangement(answers, n) if groups is None else derangement_within(answers, groups, n) for n in draws]
    shuffles = [shuffle for shuffle in drawn if shuffle is not None]
    if not shuffles:
        reason = "all items have the same right answer, so there is nothing to exchange"
        if not task.num_shuffles:
            reason = "switched off: the task's num_shuffles is 0"
        return Conditions(prefixes, {SHUFFLED: reason}, [])
    prefixes[SHUFFLED] = [
        [item.prefix(items[shuffle[index]].media) for shuffle in shuffles] for index, item in enumerate(items)
    ]
    return Conditions(prefixes, {}, shuffles)
