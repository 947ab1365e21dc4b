"""One question of a task, and an item that cannot be one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eval.items.prefix import Prefix, Turn
from omni.samples.messages import Media, Message


@dataclass(frozen=True)
class Item:
    """One question of a task.

    Attributes:
        id: the id of its row.
        media: the media that it shows, in their order.
        prompt: the text after the media; of several turns, that of the last one.
        target: the right answer, or the right label; of several, the one that most references give.
        cluster: the number of the cluster that it belongs to; items of one cluster are not independent.
        options: the candidates that the model chooses among; empty where nothing is chosen.
        right: the index of the right option; of several, the first one.
        references: the texts that an answer in the model's own words is compared with: as many as the row has, also
            equal ones; by default the target.
        turns: the turns before the answer, where there is more to show than media, then text.
        meta: what else the row says, by key.
        cluster_keys: what it has in common with the items of its cluster; none where it was made by hand.
        shots: solved examples that stand before it.
        group: the `group` of its row, a text or a number that it shares with the items it is scored with; None = none.
        also_right: the indices of further right options; only where a kind says that several can be right.
        num_blank: how many further answers of its row are blank: annotators who said nothing. VQA accuracy counts them
            as answers, and to all else they are no references.
    """

    id: str
    media: tuple[Media, ...]
    prompt: str
    target: str
    cluster: int
    options: tuple[str, ...] = ()
    right: int = 0
    references: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)
    cluster_keys: frozenset[str] = frozenset()
    shots: tuple[Message, ...] = ()
    group: str | None = None
    also_right: frozenset[int] = frozenset()
    num_blank: int = 0

    def __post_init__(self) -> None:
        if not self.references:
            object.__setattr__(self, "references", (self.target,))

    @property
    def rights(self) -> frozenset[int]:
        """The indices of all right options."""
        return self.also_right | {self.right}

    @property
    def question(self) -> str:
        """What is asked, as people are shown it: of several turns, who says what."""
        if len(self.turns) < 2:
            return self.prompt
        return "\n".join(f"{turn.role}: {turn.text.strip()}" for turn in self.turns)

    def prefix(self, media: tuple[Media, ...]) -> Prefix:
        """Return what is asked, with these media in place of the item's own."""
        return Prefix(media, self.prompt, self.turns, self.shots)


@dataclass(frozen=True)
class BadItem:
    """An item that could not be used or answered, and why."""

    id: str
    reason: str
