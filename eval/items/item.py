"""One question of a task, and an item that cannot be one."""

from dataclasses import dataclass

from omni.samples.messages import Media


@dataclass(frozen=True)
class Item:
    """One question of a task.

    Attributes:
        id: the id of its row.
        media: the media that it shows, in their order.
        prompt: the text after the media.
        target: the right answer, or the right label.
        cluster: the number of the cluster that it belongs to; items of one cluster are not independent.
        options: the candidates that the model chooses among; empty where nothing is chosen.
        right: the index of the right option.
    """

    id: str
    media: tuple[Media, ...]
    prompt: str
    target: str
    cluster: int
    options: tuple[str, ...] = ()
    right: int = 0

    @property
    def references(self) -> tuple[str, ...]:
        """The texts that an answer in the model's own words is compared with."""
        return (self.target,)


@dataclass(frozen=True)
class BadItem:
    """An item that could not be used or answered, and why."""

    id: str
    reason: str
