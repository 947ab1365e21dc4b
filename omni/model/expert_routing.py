"""Which experts media are routed to: kept while a batch runs, for the load-balancing loss and for reports.

Shapes: M media items, E experts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adapters import Experts
from omni.model.batch import Example

if TYPE_CHECKING:
    from omni.model.encoder_stack import EncoderStack
    from omni.model.modality import Modality


@dataclass(frozen=True)
class RoutedItems:
    """Where the media of one modality went."""

    adapter: Experts
    probabilities: Tensor  # [M, E], the router's, mean over an item's clips
    use: Tensor  # [M, E]; sums to 1, or is 0 for an item without a real feature
    weights: Tensor  # [M]: the answer tokens of an item's conversation, divided among its media

    def balance_loss(self) -> Tensor:
        """The load-balancing losses of the items, weighted and summed."""
        return (self.adapter.shared.balance_losses(self.probabilities) * self.weights).sum()

    def weighted_use(self) -> Tensor:
        """How much each expert did: [E]."""
        return (self.weights[:, None] * self.use.float()).sum(0)


class RoutingLog:
    """Where media went, by modality.

    Args:
        only_trained: keep only what has a gradient, and of several passes over the same batch only the first.
    """

    def __init__(self, only_trained: bool) -> None:
        self.only_trained = only_trained
        self.modalities: dict[str, list[RoutedItems]] = {}

    def add(
        self, name: str, modality: Modality, examples: Sequence[Example], places: Sequence[tuple[int, int]]
    ) -> None:
        """Take note of what the adapter of `modality` just did for the media at `places` (example, index)."""
        adapter = modality.adapter
        if not isinstance(adapter, Experts) or adapter.routing is None:
            return
        routing, adapter.routing = adapter.routing, None
        if self.only_trained and (not routing.probabilities.requires_grad or name in self.modalities):
            return
        clips = [1 if modality.join_clips else _num_clips(examples[i], j) for i, j in places]
        weights = [examples[i].num_answer_tokens / len(examples[i].media) for i, _ in places]
        items = RoutedItems(
            adapter,
            _mean_of_items(routing.probabilities, clips),
            _mean_of_items(routing.use, clips),
            torch.tensor(weights, dtype=torch.float32, device=routing.use.device),
        )
        self.modalities.setdefault(name, []).append(items)


def experts_of(model: EncoderStack) -> dict[str, Experts]:
    """Modality -> its experts, where it has such an adapter."""
    parts = {name: model.modality(name).trained_part for name in model.modalities}
    return {name: part for name, part in parts.items() if isinstance(part, Experts)}


@contextmanager
def log_routing(model: EncoderStack, *, only_trained: bool) -> Iterator[RoutingLog]:
    """Inside, it is kept where media that `model` embeds are routed."""
    experts = list(experts_of(model).values())
    log = RoutingLog(only_trained)
    model.routing_log = log if experts else None
    for adapter in experts:
        adapter.keeps_routing = True
    try:
        yield log
    finally:
        model.routing_log = None
        for adapter in experts:
            adapter.keeps_routing, adapter.routing = False, None


def _num_clips(example: Example, index: int) -> int:
    features = example.media[index].features
    assert features is not None  # media are encoded before they are adapted
    return len(features.values)


def _mean_of_items(rows: Tensor, clips: Sequence[int]) -> Tensor:
    """Rows of clips [sum of `clips`, E] -> means over the clips of each item [M, E]."""
    return rows if max(clips) == 1 else torch.stack([part.mean(0) for part in rows.split(list(clips))])
