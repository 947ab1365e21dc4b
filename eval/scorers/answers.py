"""Answered items, as scorers get them: one class for each way of asking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eval.items.item import Item


class Answer(Protocol):
    """The contract of an answered item: its item, and what people are shown of it."""

    @property
    def item(self) -> Item:
        """The item that was asked about."""
        ...

    @property
    def target(self) -> str:
        """The right answer, as people are shown it."""
        ...

    @property
    def text(self) -> str:
        """The model's answer, as people are shown it where the scorer says nothing else."""
        ...


@dataclass(frozen=True)
class ChoiceAnswer:
    """The likelihoods of an item's options.

    Attributes:
        item: the item, with its options.
        log_likelihoods: for each prefix of the condition that was answered, log p(option | prefix) of each option.
        base: log p(option | prompt) of each option, which pointwise mutual information is measured against.
        num_tokens: tokens of each option, the end token included.
        is_base: the condition itself is the base, so that the mutual information is 0 for every option.
        are_likelihoods: False where the numbers are other measures of how an option fits (cosines), which rank as they
            are: no length divides them, and nothing is subtracted.
        num_bytes: length of each option; empty = its UTF-8 bytes.
    """

    item: Item
    log_likelihoods: Sequence[Sequence[float]]
    base: Sequence[float]
    num_tokens: Sequence[int]
    is_base: bool = False
    are_likelihoods: bool = True
    num_bytes: Sequence[int] = ()

    @property
    def target(self) -> str:
        """The right option."""
        return self.item.options[self.item.right]

    @property
    def text(self) -> str:
        """The likeliest option."""
        scores = self.log_likelihoods[0]
        return self.item.options[max(range(len(scores)), key=scores.__getitem__)]


@dataclass(frozen=True)
class ConflictAnswer(ChoiceAnswer):
    """The likelihoods of options where the media of two modalities disagree.

    Attributes:
        rival: the index of the option that the second modality's media belong to; the first one's is `item.right`.
    """

    rival: int = 0


@dataclass(frozen=True)
class LabelSetAnswer(ChoiceAnswer):
    """The likelihoods of an item's options, of which several can be right; see `Item.rights`."""

    @property
    def target(self) -> str:
        """The right options."""
        return " / ".join(self.item.options[index] for index in sorted(self.item.rights))


@dataclass(frozen=True)
class ComparisonAnswer:
    """The likelihood of the right answer with the item's own media, compared with mismatched media.

    Attributes:
        item: the item.
        gains: for each mismatch, log p(right answer | own media) - log p(right answer | mismatched media).
    """

    item: Item
    gains: Sequence[float]

    @property
    def target(self) -> str:
        """The right answer."""
        return self.item.target

    @property
    def text(self) -> str:
        """The mean gain in log-likelihood."""
        return f"log-likelihood {sum(self.gains) / len(self.gains):+.2f}"


@dataclass(frozen=True)
class RankingAnswer:
    """Where the right entries of a gallery stand for a query.

    Attributes:
        item: the query.
        ranks: for each prefix of the condition that was answered, the rank of the best right entry, from 1.
        ndcgs: likewise, nDCG at 10.
        top: the nearest entries, the nearest first, with the softmax of their similarities.
    """

    item: Item
    ranks: Sequence[float]
    ndcgs: Sequence[float]
    top: tuple[tuple[str, float], ...] = ()

    @property
    def target(self) -> str:
        """The names of right entries."""
        return self.item.target

    @property
    def text(self) -> str:
        """The name of the nearest entry."""
        return self.top[0][0] if self.top else f"rank {self.ranks[0]:.0f}"


@dataclass(frozen=True)
class WrittenAnswer:
    """A text that the model wrote; the texts to compare it with are `item.references`."""

    item: Item
    text: str

    @property
    def target(self) -> str:
        """The right answers, each once."""
        return " / ".join(dict.fromkeys(self.item.references))
