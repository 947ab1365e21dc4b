"""Load the items of a task from its data: what is shown, what is asked and what is right."""

import random
from dataclasses import dataclass

from eval.items.clusters import connected
from eval.items.item import BadItem, Item
from eval.task import Task
from omni.readers import open_dataset
from omni.samples.messages import Media, Sample, SampleError
from omni.starter import resolve


@dataclass(frozen=True)
class LoadedItems:
    """The items of a task, those that could not be used, and the number of rows that the data has."""

    items: tuple[Item, ...]
    bad: tuple[BadItem, ...]
    num_rows: int


def load_items(task: Task, data: str, limit: int | None, seed: int) -> LoadedItems:
    """Load the items of a task; rows that cannot be used are collected, not raised.

    Args:
        task: says which media, which text and which target to take from a row.
        data: the source to read (the task's own, or its probe's training split).
        limit: the most rows; a sample by `seed` that keeps the order of the data if there are more.

    Raises:
        FileNotFoundError, ValueError: the data as a whole cannot be opened.
    """
    dataset = open_dataset(resolve(data))
    indices = list(range(len(dataset)))
    if limit is not None and limit < len(indices):
        indices = sorted(random.Random(seed).sample(indices, limit))
    rows: list[tuple[Sample, tuple[Media, ...], str, str]] = []
    keys: list[list[str]] = []
    bad: list[BadItem] = []
    for index in indices:
        entry = dataset[index]
        if isinstance(entry, SampleError):
            bad.append(BadItem(entry.sample_id, entry.reason))
            continue
        try:
            row = _read_row(task, entry)
            keys.append(_cluster_keys(task, entry, row[1]))
            rows.append(row)
        except (ValueError, OSError) as error:
            reason = error.reason if isinstance(error, SampleError) else str(error)
            bad.append(BadItem(entry.id, reason))
    items = tuple(
        Item(sample.id, media, prompt, target, cluster)
        for (sample, media, prompt, target), cluster in zip(rows, connected(keys), strict=True)
    )
    return LoadedItems(items, tuple(bad), len(dataset))


def _read_row(task: Task, sample: Sample) -> tuple[Sample, tuple[Media, ...], str, str]:
    media = tuple(
        part
        for message in sample.messages
        if message.role == "user"
        for part in message.media
        if part.modality in task.modalities
    )
    missing = [modality for modality in task.modalities if modality not in {part.modality for part in media}]
    if missing:
        raise SampleError(sample.id, f"has no {' and no '.join(missing)}, which task {task.name!r} shows")
    own_text = "\n".join(message.text for message in sample.messages if message.role == "user" and message.text)
    return sample, media, own_text if task.prompt is None else task.prompt, read_target(task, sample)


def read_target(task: Task, sample: Sample) -> str:
    """Return the right answer of a row.

    Raises:
        SampleError: the row has none.
    """
    if task.target == "answer":
        answer = _answer(sample)
    else:
        key = task.target.removeprefix("meta:")
        if sample.meta.get(key) is None:
            raise SampleError(sample.id, f"has no {key!r} in its row; found {sorted(sample.meta)}")
        answer = str(sample.meta[key])
    if not answer:
        raise SampleError(sample.id, "has no right answer to compare with")
    return answer


def _answer(sample: Sample) -> str:
    return (sample.last_answer or "").strip()


def _cluster_keys(task: Task, sample: Sample, media: tuple[Media, ...]) -> list[str]:
    keys = [part.content_hash() for part in media] if "media" in task.clusters else []
    if "answer" in task.clusters and _answer(sample):
        keys.append(f"answer:{_answer(sample)}")
    return keys or [f"item:{sample.id}"]
