"""Which experts media were routed to, item by item, for the load-balancing loss and for reports.

Shapes: M media items, E experts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters import RoutedAdapter
from omni.model.batch import Example
from omni.model.modality import Modality


@dataclass(frozen=True)
class RoutedItems:
    """Where the media of one modality went."""

    adapter: RoutedAdapter
    probabilities: Tensor  # [M, E], the router's, mean over an item's clips
    use: Tensor  # [M, E]; sums to 1, or is 0 for an item without a real feature
    weights: Tensor  # [M]: the answer tokens of an item's conversation, divided among its media

    def balance_loss(self) -> Tensor:
        """Return the load-balancing losses of the items, weighted and summed."""
        return (self.adapter.expert_usage.balance_losses(self.probabilities) * self.weights).sum()

    def weighted_use(self) -> Tensor:
        """Return how much each expert did: [E]."""
        return (self.weights[:, None] * self.use.float()).sum(0)


class RoutingLog:
    """Where media went, by modality.

    Args:
        adapters: modality -> the adapter that reports routing.
        only_trained: keep only what has a gradient, and of several passes over the same batch only the first.
    """

    def __init__(self, adapters: dict[str, RoutedAdapter], only_trained: bool) -> None:
        self.adapters = adapters
        self.only_trained = only_trained
        self.modalities: dict[str, list[RoutedItems]] = {}

    def add(
        self, name: str, modality: Modality, examples: Sequence[Example], places: Sequence[tuple[int, int]]
    ) -> None:
        """Take note of what the adapter of `modality` just did for the media at `places` (example, index)."""
        adapter = self.adapters.get(name)
        routing = None if adapter is None else adapter.take_routing()
        if adapter is None or routing is None:
            return
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


def _num_clips(example: Example, index: int) -> int:
    features = example.media[index].features
    assert features is not None  # media are encoded before they are adapted
    return len(features.values)


def _mean_of_items(rows: Tensor, clips: Sequence[int]) -> Tensor:
    """Turn rows of clips [sum of `clips`, E] into means over the clips of each item [M, E]."""
    return rows if max(clips) == 1 else torch.stack([part.mean(0) for part in rows.split(list(clips))])
