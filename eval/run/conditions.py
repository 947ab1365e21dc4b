"""Conditions: the ways in which an item's question is put, from its own media to none.

A condition gives each item a list of prefixes; its value for an item is the mean over them.

    own              the item's own media
    blank            no media (control)
    shuffled         the media of an item with another answer (control)
    only-image       a subset of the media (`Task.only`)
    reference        media of the training split, the same for all items: not a control but the base of `pmi`
    mismatched       `Match` only: own media but for one modality, which is another item's
"""

from collections.abc import Sequence

from eval.run.controls import derangement
from eval.run.items import Item
from eval.run.requests import Prefix
from eval.task import Match, Task
from omni.samples.messages import Media

OWN = "own"
BLANK = "blank"
SHUFFLED = "shuffled"
REFERENCE = "reference"
MISMATCHED = "mismatched"
SHUFFLED_MISMATCHED = "shuffled-mismatched"

Condition = list[list[Prefix]]


def only_name(modalities: Sequence[str]) -> str:
    """Name of the condition that shows only some modalities."""
    return "only-" + "+".join(modalities)


def build_conditions(
    task: Task, items: Sequence[Item], seed: int, references: Sequence[Item] = ()
) -> tuple[dict[str, Condition], dict[str, str]]:
    """The prefixes of every condition, item by item, and the conditions that cannot be built with the reason."""
    conditions: dict[str, Condition] = {OWN: [[Prefix(item.media, item.prompt)] for item in items]}
    not_computed: dict[str, str] = {}
    conditions[BLANK] = [[Prefix((), item.prompt)] for item in items]
    if references:
        conditions[REFERENCE] = [[Prefix(one.media, item.prompt) for one in references] for item in items]
    for modalities in task.only:
        conditions[only_name(modalities)] = [
            [Prefix(tuple(part for part in item.media if part.modality in modalities), item.prompt)] for item in items
        ]
    answers = [item.target for item in items]
    shuffles = [derangement(answers, seed + number) for number in range(task.num_shuffles)]
    sources = [shuffle for shuffle in shuffles if shuffle is not None]
    if not sources:
        not_computed[SHUFFLED] = "all items have the same right answer, so there is nothing to exchange"
        return conditions, not_computed
    conditions[SHUFFLED] = [
        [Prefix(items[source[index]].media, item.prompt) for source in sources] for index, item in enumerate(items)
    ]
    if isinstance(task.kind, Match):
        _add_mismatched(task.kind, items, answers, sources[0], conditions, seed)
    return conditions, not_computed


def _add_mismatched(
    kind: Match,
    items: Sequence[Item],
    answers: Sequence[str],
    shuffle: Sequence[int],
    conditions: dict[str, Condition],
    seed: int,
) -> None:
    # At most as many different partners as there are other items; a derangement never repeats within one draw, and
    # repetitions between draws are dropped.
    draws = [derangement(answers, seed + 1000 + number) for number in range(kind.num_mismatches)]
    partners = [list(dict.fromkeys(draw[index] for draw in draws if draw is not None)) for index in range(len(items))]
    mismatched = [
        [exchange(items[index], items[other], kind.replaced) for other in partners[index]]
        for index in range(len(items))
    ]
    conditions[MISMATCHED] = mismatched
    # The control asks about item i while showing item j, with j's own and with j's mismatched media.
    conditions[SHUFFLED_MISMATCHED] = [
        [Prefix(prefix.media, item.prompt) for prefix in mismatched[shuffle[index]]] for index, item in enumerate(items)
    ]


def exchange(item: Item, other: Item, modality: str) -> Prefix:
    """The item's prefix with its media of one modality replaced by those of another item, place by place."""
    spare: list[Media] = [part for part in other.media if part.modality == modality]
    media: list[Media] = []
    for part in item.media:
        if part.modality != modality:
            media.append(part)
        elif spare:
            media.append(spare.pop(0))
    return Prefix((*media, *spare), item.prompt)
