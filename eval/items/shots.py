"""Solved examples before a question (in-context learning), chosen at random or by their likeness to it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from eval.items.item import Item
from eval.items.prefix import digest
from omni.samples.messages import Message, Text

# for items and examples: the likeness of each example to each item, [num_items, num_examples]; the largest is nearest
Likeness = Callable[[Sequence[Item], Sequence[Item]], np.ndarray]


def with_shots(
    items: Sequence[Item], examples: Sequence[Item], count: int, *, seed: int, likeness: Likeness | None = None
) -> tuple[Item, ...]:
    """Return the items with `count` solved examples before each, none from the item's own cluster.

    Args:
        items: the items of a task.
        examples: those that may be shown, prepared as the items are.
        count: how many each item gets.
        seed: of the random choice, which depends on nothing else but the item.
        likeness: chooses the nearest examples instead, of which the last one shown is the nearest.

    Raises:
        ValueError: an item has fewer examples than are asked for.
    """
    values = None if likeness is None else likeness(items, examples)
    return tuple(
        replace(item, shots=_messages(item, examples, count, seed, None if values is None else values[index]))
        for index, item in enumerate(items)
    )


def _messages(
    item: Item, examples: Sequence[Item], count: int, seed: int, likeness: np.ndarray | None
) -> tuple[Message, ...]:
    if likeness is not None and np.isnan(likeness).all():
        likeness = None  # the item cannot be read, which is said when it is asked
    allowed = [
        index
        for index, one in enumerate(examples)
        if not one.cluster_keys & item.cluster_keys and (likeness is None or not np.isnan(likeness[index]))
    ]
    if len(allowed) < count:
        raise ValueError(
            f"item {item.id!r} has {len(allowed)} examples outside of its own cluster, but {count} are asked for"
        )
    if likeness is None:
        chosen = random.Random(digest([seed, "shots", item.id])).sample(allowed, count)
    else:
        chosen = sorted(allowed, key=lambda index: -likeness[index])[:count][::-1]
    return tuple(message for index in chosen for message in _solved(examples[index]))


def _solved(example: Item) -> list[Message]:
    """The turns of an example with its right answer; a system message of its own falls away."""
    asked = [message for message in example.prefix(example.media).messages if message.role != "system"]
    answer = example.options[example.right] if example.options else example.target
    return [*asked, Message("assistant", (Text(answer),))]
