"""Where the items of a task came from: what was read, and what of it is no item."""

from dataclasses import dataclass

from eval.items.item import BadItem


@dataclass(frozen=True)
class Origin:
    """What a result says of the files that its items came from.

    Attributes:
        folder: of official files; "" for other data.
        layout: the form in which official files lay there, such as `official` or `mirrored table`.
        left_out: rows that are no items: those that stand there twice, and those that a set's own rules leave out.
        notes: what else a reader should know of the files, a sentence each, such as which shards are missing.
    """

    folder: str = ""
    layout: str = ""
    left_out: tuple[BadItem, ...] = ()
    notes: tuple[str, ...] = ()
