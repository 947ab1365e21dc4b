"""Conditions beyond the usual ones: a modality that is missing, media that disagree with the question, corruptions.

missing-sound        the media of a modality are left out (`Task.missing`, `fill="none"`)
predicted-sound      in their place stand the training media nearest to what the others let expect (`"predict"`)
noise-3-image        media of a modality are corrupted, in one of five strengths (`Task.corruptions`)
inserted-attributes  true attributes stand before the things that the question names (`Task.insertions`)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from eval.data.spill import Spill
from eval.items.conditions import Condition
from eval.items.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from eval.items.insertions import attributes_of, with_attributes
from eval.items.item import Item
from eval.items.prefix import Prefix, Turn
from eval.task import Task
from omni.media import MediaError
from omni.samples.messages import Media, Text

# for items, examples and the missing modality: the index of the example whose medium stands in for each item, or None
StandIns = Callable[[Sequence[Item], Sequence[Item], str], Sequence[int | None]]


def missing_name(modality: str, fill: str) -> str:
    """Return the name of the condition in which a modality is missing."""
    return f"{'missing' if fill == 'none' else 'predicted'}-{modality}"


def corruption_name(corruption: str, strength: int) -> str:
    """Return the name of the condition of a corruption (`MODALITY:KIND`) in one strength."""
    modality, _, kind = corruption.partition(":")
    return f"{kind}-{strength}-{modality}"


INSERTED = "inserted-attributes"


def further_conditions(
    task: Task, items: Sequence[Item], seed: int, examples: Sequence[Item] = (), stand_ins: StandIns | None = None
) -> tuple[Mapping[str, Condition], Mapping[str, str]]:
    """Return the conditions that a task names, and why others cannot be built.

    Args:
        task: says what is missing or corrupted.
        items: the items of the task.
        seed: of whatever is drawn.
        examples: training items, whose media stand in for predicted ones.
        stand_ins: finds them.

    Raises:
        ValueError: there is no such corruption, or one of a modality that the task does not show.
    """
    for corruption in task.corruptions:
        if corruption not in CORRUPTIONS or corruption.partition(":")[0] not in task.modalities:
            allowed = [one for one in CORRUPTIONS if one.partition(":")[0] in task.modalities]
            listed = ", ".join(allowed) or f"none for {' and '.join(task.modalities)}"
            raise ValueError(f"task {task.name!r}: there is no corruption {corruption!r} for it; there are {listed}")
    found: dict[str, Condition] = {}
    gaps: dict[str, str] = {}
    for modality in task.missing:
        name = missing_name(modality, task.fill)
        if task.fill == "none":
            found[name] = [[_without(item, modality)] for item in items]
        elif stand_ins is None or not examples:
            gaps[name] = "there is no training split that the media could be predicted from (Task.reference)"
        else:
            try:
                chosen = stand_ins(items, examples, modality)
            except ValueError as error:
                gaps[name] = str(error)
                continue
            found[name] = [
                [_without(item, modality) if index is None else _replaced(item, examples[index], modality)]
                for item, index in zip(items, chosen, strict=True)
            ]
    spill = Spill()
    for corruption in task.corruptions:
        modality, _, kind = corruption.partition(":")
        for strength in STRENGTHS:
            found[corruption_name(corruption, strength)] = [
                [item.prefix(tuple(_corrupted(part, modality, kind, strength, seed, spill) for part in item.media))]
                for item in items
            ]
    if task.insertions:
        edited = [_with_insertions(item) for item in items]
        if any(one is not None for one in edited):
            found[INSERTED] = [[one or item.prefix(item.media)] for item, one in zip(items, edited, strict=True)]
        else:
            gaps[INSERTED] = "no question names a thing of which an attribute is known ('attributes' of the row)"
    return found, gaps


def _without(item: Item, modality: str) -> Prefix:
    return item.prefix(tuple(part for part in item.media if part.modality != modality))


def _replaced(item: Item, example: Item, modality: str) -> Prefix:
    spare = [part for part in example.media if part.modality == modality]
    return item.prefix(tuple(spare.pop(0) if part.modality == modality and spare else part for part in item.media))


def _corrupted(part: Media, modality: str, kind: str, strength: int, seed: int, spill: Spill) -> Media:
    if part.modality != modality:
        return part
    try:
        return spill.stored(Media(modality, data=corrupted(part, kind, strength, seed)))
    except (MediaError, OSError):
        return part  # the model cannot read it either, which is said of the item itself


def _with_insertions(item: Item) -> Prefix | None:
    """The question with true attributes in it; None where none can be inserted."""
    attributes = attributes_of(item)
    prefix = item.prefix(item.media)
    prompt = with_attributes(prefix.prompt, attributes)
    if prompt == prefix.prompt:
        return None
    if not prefix.turns:
        return replace(prefix, prompt=prompt)
    last = prefix.turns[-1]
    content = tuple(
        Text(with_attributes(part.text, attributes)) if isinstance(part, Text) else part for part in last.content
    )
    return replace(prefix, prompt=prompt, turns=(*prefix.turns[:-1], Turn(last.role, content)))
