"""Load the items of a task from its data: what is shown, what is asked and what is right."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eval.data.benchmark import LeftOutError
from eval.data.repeats import Repeats
from eval.items.clusters import connected
from eval.items.item import BadItem, Item
from eval.items.origin import Origin
from eval.items.own_options import nearest_key
from eval.items.prefix import Place, Turn
from eval.items.sources import open_source
from eval.items.wording import worded
from eval.task import Task
from omni.media.item import shorten
from omni.samples.messages import Media, Message, Sample, SampleError, Text


@dataclass(frozen=True)
class LoadedItems:
    """The items of a task, those that could not be used, the number of rows of the data, and where they came from."""

    items: tuple[Item, ...]
    bad: tuple[BadItem, ...]
    num_rows: int
    origin: Origin = field(default_factory=Origin)


def load_items(task: Task, data: str, limit: int | None, seed: int) -> LoadedItems:
    """Load the items of a task; rows that cannot be used are collected, not raised, and so are those that are no items.

    Args:
        task: says which media, which text and which target to take from a row.
        data: the source to read (the task's own, or its probe's training split).
        limit: the most rows; a sample by `seed` that keeps the order of the data if there are more.

    Raises:
        FileNotFoundError, ValueError: the data as a whole cannot be opened.
    """
    source = open_source(data, task.folder)
    dataset, repeats = source.rows, Repeats(source.rows)
    indices = list(range(len(dataset)))
    if limit is not None and limit < len(indices):
        indices = sorted(random.Random(seed).sample(indices, limit))
    rows: list[Item] = []
    keys: list[list[str]] = []
    bad: list[BadItem] = []
    left_out: list[BadItem] = []
    for index in indices:
        entry = dataset[index]
        if isinstance(entry, SampleError):
            no_item = left_out if isinstance(entry, LeftOutError) else bad
            no_item.append(BadItem(entry.sample_id, entry.reason))
            continue
        if (repeated := repeats.reason(index, entry)) is not None:
            left_out.append(BadItem(entry.id, repeated))
            continue
        try:
            item = _read_item(task, entry)
            keys.append(_cluster_keys(task, entry, item.media))
            rows.append(replace(item, cluster_keys=frozenset(keys[-1])))
        except (ValueError, OSError) as error:
            reason = error.reason if isinstance(error, SampleError) else str(error)
            bad.append(BadItem(entry.id, reason))
    items = tuple(replace(item, cluster=cluster) for item, cluster in zip(rows, connected(keys), strict=True))
    origin = replace(source.origin, left_out=tuple(left_out), notes=(*source.origin.notes, *repeats.notes()))
    return LoadedItems(items, tuple(bad), len(dataset), origin)


def _read_item(task: Task, sample: Sample) -> Item:
    stated = read_references(task, sample)
    references = tuple(text for text in stated if text.strip())
    # Of several references one stands for all where one is needed: that of most annotators, else the first.
    target = Counter(references).most_common(1)[0][0]
    asked = _asked(task, sample)
    media = tuple(part for message in asked for part in message.media)
    for part in media:
        part.content_hash()  # reads it, so that a missing file is this row's fault and not the whole task's
    found = {part.modality for part in media}
    missing = [one for one in task.modalities if one not in found and one not in task.optional]
    if missing and task.kind.needs_every_modality:
        raise SampleError(sample.id, f"has no {' and no '.join(missing)}, which task {task.name!r} shows")
    turns = tuple(_turn(message) for message in asked)
    plain = len(turns) == 1 and turns[0].role == "user" and _places_come_first(turns[0])
    return Item(
        sample.id,
        media,
        turns[-1].text,
        target,
        0,
        references=references,
        turns=() if plain else turns,
        meta=sample.meta,
        group=_group(sample),
        num_blank=len(stated) - len(references),
    )


def _group(sample: Sample) -> str | None:
    value = sample.meta.get("group")
    return str(value) if isinstance(value, str | int) else None


def _asked(task: Task, sample: Sample) -> list[Message]:
    """The turns before the answer, with the media that the task shows; a task's prompt replaces the last one's text.

    Raises:
        SampleError: the conversation does not end with a question and, where that is the right answer, its answer.
    """
    turns = list(sample.messages)
    if turns[-1].role == "assistant":
        turns.pop()
    elif task.target == "answer":
        raise SampleError(sample.id, "has no right answer to compare with: the last turn is not the assistant's")
    if not turns or turns[-1].role != "user":
        raise SampleError(sample.id, "asks nothing: no turn of the user stands before the last answer")
    shown = [_with_parts(turn, [_loaded_as(task, p) for p in turn.content if _is_shown(task, p)]) for turn in turns]
    if task.prompt is not None:
        shown[-1] = _with_parts(shown[-1], _worded(task.prompt, shown[-1], sample))
    if task.post_prompt:
        shown[-1] = _with_parts(shown[-1], [*shown[-1].content, Text(task.post_prompt)])
    return shown


def _worded(prompt: str, question: Message, sample: Sample) -> list[Text | Media]:
    try:
        return worded(prompt, question.content, sample.meta)
    except ValueError as error:
        raise SampleError(sample.id, str(error)) from error


def _is_shown(task: Task, part: Text | Media) -> bool:
    return isinstance(part, Text) or part.modality in task.modalities


def _loaded_as(task: Task, part: Text | Media) -> Text | Media:
    return part if isinstance(part, Text) else part.with_defaults(task.media_options.get(part.modality))


def _with_parts(message: Message, parts: Sequence[Text | Media]) -> Message:
    return Message(message.role, tuple(parts))


def _turn(message: Message) -> Turn:
    return Turn(message.role, tuple(p if isinstance(p, Text) else Place(p.modality) for p in message.content))


def _places_come_first(turn: Turn) -> bool:
    kinds = [isinstance(part, Text) for part in turn.content]
    return kinds == sorted(kinds)


def read_references(task: Task, sample: Sample) -> tuple[str, ...]:
    """Return the right answers of a row: one, or as many as the row lists, some of which may be blank.

    Raises:
        SampleError: the row has none that is not blank, or something that is no text.
    """
    if task.target == "answer":
        found: tuple[str, ...] = (_answer(sample),)
    else:
        key = task.target.removeprefix("meta:")
        value = sample.meta.get(key)
        if value is None:
            raise SampleError(sample.id, f"has no {key!r} in its row; {nearest_key(key, sample.meta)}")
        values = value.tolist() if isinstance(value, np.ndarray) else value
        values = values if isinstance(values, list | tuple) else [values]
        wrong = [one for one in values if isinstance(one, Mapping | list | tuple | bytes) or one is None]
        if wrong:
            raise SampleError(sample.id, f"{key!r} must be a text or a list of texts; got {shorten(wrong[0])} in it")
        found = tuple(map(str, values))
    if not any(text.strip() for text in found):
        blank = f"all {len(found)} are blank" if len(found) > 1 else "it is blank" if found else "the list is empty"
        raise SampleError(sample.id, f"has no right answer to compare with: {blank}")
    return found


def _answer(sample: Sample) -> str:
    return (sample.last_answer or "").strip()


def _cluster_keys(task: Task, sample: Sample, media: tuple[Media, ...]) -> list[str]:
    keys = [part.content_hash() for part in media] if "media" in task.clusters else []
    if "answer" in task.clusters and _answer(sample):
        keys.append(f"answer:{_answer(sample)}")
    if (group := _group(sample)) is not None:
        keys.append(f"group:{group}")
    return keys or [f"item:{sample.id}"]
