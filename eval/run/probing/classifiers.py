"""The classifiers of a probe, and how they are trained: by mini-batches, for a fixed number of steps, from a seed.

Shapes: B items, P positions, L layers, D their widths joined, W the common width, C classes.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_STEPS = 200
_BATCH = 64
_RATE = 3e-3
_DECAY = 0.1
_WIDTH = 64  # to which layers are mapped where they differ in width, and before a query attends


class LayerMix(nn.Module):
    """Weigh the layers of an encoder by a learned softmax (SUPERB, Yang et al. 2021): [..., D] -> [..., W].

    widths: of the layers. width: what each layer is mapped to; None = layers of one width are summed as they are.
    """

    def __init__(self, widths: Sequence[int], width: int | None = None) -> None:
        super().__init__()
        self.widths = list(widths)
        self.scores = nn.Parameter(torch.zeros(len(widths)))
        if width is None and len(set(widths)) > 1:
            width = _WIDTH
        self.maps = None if width is None else nn.ModuleList(nn.Linear(one, width, bias=False) for one in widths)
        self.width = widths[0] if width is None else width

    @property
    def weights(self) -> Tensor:
        """The weights of the layers [L], which sum to 1."""
        return self.scores.softmax(0)

    def forward(self, features: Tensor) -> Tensor:
        """[..., D] -> [..., W]"""
        layers: Sequence[Tensor] = features.split(self.widths, dim=-1)
        if self.maps is not None:
            layers = [one(layer) for one, layer in zip(self.maps, layers, strict=True)]
        return (torch.stack([*layers], -1) * self.weights).sum(-1)


class LinearProbe(nn.Module):
    """One linear layer on the mean features of each modality, joined."""

    def __init__(self, widths: Mapping[str, Sequence[int]], num_classes: int) -> None:
        super().__init__()
        mixes = {name: LayerMix(own) for name, own in widths.items()}
        self.mixes = nn.ModuleDict(mixes)
        self.classifier = nn.Linear(sum(mix.width for mix in mixes.values()), num_classes)

    def forward(self, features: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Modality -> features [B, 1, D] and mask [B, 1] to logits [B, C]."""
        return self.classifier(torch.cat([mix(features[name][0][:, 0]) for name, mix in self.mixes.items()], -1))


class AttentiveProbe(nn.Module):
    """One learned query a modality attends over its positions; one linear layer on what it finds, joined."""

    def __init__(self, widths: Mapping[str, Sequence[int]], num_classes: int) -> None:
        super().__init__()
        self.mixes = nn.ModuleDict({name: LayerMix(own, _WIDTH) for name, own in widths.items()})
        self.queries = nn.ParameterDict({name: nn.Parameter(torch.zeros(_WIDTH)) for name in widths})
        self.classifier = nn.Linear(_WIDTH * len(widths), num_classes)

    def forward(self, features: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Modality -> features [B, P, D] and mask [B, P] to logits [B, C]."""
        found = []
        for name, mix in self.mixes.items():
            values, mask = features[name]
            tokens = mix(values)
            scores = (tokens @ self.queries[name] / math.sqrt(_WIDTH)).masked_fill(~mask, float("-inf"))
            found.append((scores.softmax(-1)[..., None] * tokens).sum(1))
        return self.classifier(torch.cat(found, -1))


CLASSIFIERS: Mapping[str, Callable[[Mapping[str, Sequence[int]], int], nn.Module]] = {
    "linear": LinearProbe,
    "attentive": AttentiveProbe,
}


@dataclass(frozen=True)
class Fitted:
    """A trained probe.

    Attributes:
        predicted: the class of each test item [B].
        layer_weights: modality -> the weights of its layers.
    """

    predicted: Tensor
    layer_weights: Mapping[str, list[float]]


def fit(
    kind: str,
    train: Mapping[str, tuple[Tensor, Tensor]],
    labels: Tensor,
    test: Mapping[str, tuple[Tensor, Tensor]],
    widths: Mapping[str, Sequence[int]],
    num_classes: int,
    seed: int,
) -> Fitted:
    """Train a probe and return what it says of other items; the same seed gives the same probe.

    Features are standardised by the mean and deviation of the training items.

    Args:
        kind: a key of `CLASSIFIERS`.
        train: modality -> features [B, P, D] and which positions are real [B, P].
        labels: the class of each training item [B].
        test: as `train`.
        widths: modality -> the widths of its layers.
        num_classes: the number of classes.
        seed: of the first weights and the mini-batches.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), _one_thread():
        torch.manual_seed(seed)
        probe = CLASSIFIERS[kind](widths, num_classes)
        scales = {name: _scale(*features) for name, features in train.items()}
        train, test = ({n: _scaled(one, scales[n]) for n, one in split.items()} for split in (train, test))
        optimizer = torch.optim.AdamW(probe.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NUM_STEPS)
        for _ in range(NUM_STEPS):
            chosen = torch.randperm(len(labels), generator=generator)[:_BATCH]
            batch = {name: (values[chosen], mask[chosen]) for name, (values, mask) in train.items()}
            optimizer.zero_grad()
            F.cross_entropy(probe(batch), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad(), _one_thread():
        predicted = probe(test).argmax(-1)
        mixes = {name: part for name, part in probe.named_modules() if isinstance(part, LayerMix)}
        weights = {name.rpartition(".")[2]: mix.weights.tolist() for name, mix in mixes.items()}
    return Fitted(predicted, weights)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: sums have one order then, and steps are too small to be shared out with any gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scale(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    real = values[mask]
    return real.mean(0), real.std(0, unbiased=False).clamp(min=1e-6)


def _scaled(features: tuple[Tensor, Tensor], scale: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    values, mask = features
    return ((values - scale[0]) / scale[1]) * mask[..., None], mask
