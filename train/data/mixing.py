"""Which sample comes when: a fixed plan that depends only on the seed, the sizes and the weights of the data sets.

The plan is one long sequence of draws. Batches are consecutive pieces of it, so neither the number of processes, nor
accumulation, nor workers, nor stopping and resuming change which samples a step sees.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from train.data.stream_order import StreamLayout, StreamOrder, StreamPlace


class Draw(NamedTuple):
    """One sample of the plan."""

    source: int  # index of the data set
    row: int  # index in that data set
    epoch: int  # how often the whole of that data set came before
    place: StreamPlace | None = None  # where its sample is found, if the data set is a stream


def mixing_shares(sizes: Sequence[int], weights: Sequence[float | None]) -> np.ndarray:
    """Share of each data set in the mix, summing to 1; a weight of None counts as the square root of the size.

    The square root keeps large sets from drowning small ones without repeating small ones too often (X-InstructBLIP,
    Panagopoulou et al. 2023, section 3.3, after InstructBLIP).
    """
    raw = np.array([np.sqrt(size) if weight is None else weight for size, weight in zip(sizes, weights, strict=True)])
    return raw / raw.sum()


class MixingPlan:
    """The sequence of draws over several data sets, with random access.

    An epoch of the mix has as many draws as all data sets have rows together. Within it every data set has its share
    (exactly, up to rounding) at shuffled places, and goes through its own rows in a new order on each of its passes.
    With one data set an epoch is one pass. The rows of a stream come in the order of `train.data.stream_order`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float | None],
        seed: int,
        streams: Mapping[int, StreamLayout] | None = None,
    ) -> None:
        """`streams`: how those data sets, by index, that are streams are cut up."""
        if not sizes or min(sizes) < 1:
            raise ValueError(f"every data set needs at least one row; the sizes are {list(sizes)}")
        self.sizes = tuple(sizes)
        self.seed = seed
        self.streams = streams or {}
        self.epoch_length = sum(sizes)
        self.counts = _round_to_total(mixing_shares(sizes, weights) * self.epoch_length, self.epoch_length)
        self._order_of_sources = lru_cache(maxsize=2)(self._shuffle_sources)
        self._order_of_rows = lru_cache(maxsize=2 * len(sizes))(self._shuffle_rows)
        self._order_of_stream = lru_cache(maxsize=2 * len(sizes))(self._shuffle_stream)

    def draw(self, position: int) -> Draw:
        """The draw at `position`, from 0 on without end."""
        epoch, offset = divmod(position, self.epoch_length)
        sources, ranks = self._order_of_sources(epoch)
        source = int(sources[offset])
        count_before = epoch * int(self.counts[source]) + int(ranks[offset])
        source_epoch, place = divmod(count_before, self.sizes[source])
        if source in self.streams:
            row, stream_place = self._order_of_stream(source, source_epoch)[place]
            return Draw(source, row, source_epoch, stream_place)
        return Draw(source, int(self._order_of_rows(source, source_epoch)[place]), source_epoch)

    def _shuffle_sources(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """For each place of the epoch: the data set, and how many draws from that data set came before in the epoch."""
        sources = np.repeat(np.arange(len(self.sizes), dtype=np.int32), self.counts)
        np.random.default_rng((self.seed, 0, epoch)).shuffle(sources)
        ranks = np.empty(self.epoch_length, dtype=np.int64)
        for source in range(len(self.sizes)):
            places = np.flatnonzero(sources == source)
            ranks[places] = np.arange(len(places))
        return sources, ranks

    def _shuffle_rows(self, source: int, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, 1, source, epoch)).permutation(self.sizes[source])

    def _shuffle_stream(self, source: int, epoch: int) -> StreamOrder:
        """The order of one pass over a stream; which reader a draw falls to depends on its place in the mix."""
        first, count = epoch * self.sizes[source], int(self.counts[source])
        last = first + self.sizes[source]
        positions = []
        for mix_epoch in range(first // count, (last - 1) // count + 1):
            sources, _ = self._order_of_sources(mix_epoch)
            places = np.flatnonzero(sources == source) + mix_epoch * self.epoch_length
            positions.append(places[max(0, first - mix_epoch * count) : last - mix_epoch * count])
        return StreamOrder(self.streams[source], np.concatenate(positions), stream_seeds(self.seed, source, epoch))


def stream_seeds(seed: int, source: int, epoch: int) -> tuple[int, ...]:
    """What the order of one pass over a stream depends on."""
    return (seed, 2, source, epoch)


class MicroBatches:
    """The draws of one process, one list for each forward pass: `accumulation_steps` lists for each step.

    Forward pass m of process r takes piece `m * num_processes + r` of the global batch, so that for example 1 process
    x 4 and 2 processes x 2 work on the very same pieces. Beyond `num_draws` the pieces are empty.
    """

    def __init__(
        self,
        plan: MixingPlan,
        *,
        batch_size: int,
        accumulation_steps: int,
        process_index: int,
        num_processes: int,
        first_step: int,
        num_steps: int,
        num_draws: int,
    ) -> None:
        self.plan = plan
        self.batch_size = batch_size
        self.accumulation_steps = accumulation_steps
        self.process_index = process_index
        self.num_processes = num_processes
        self.first_step = first_step
        self.num_steps = num_steps
        self.num_draws = num_draws

    def __len__(self) -> int:
        return (self.num_steps - self.first_step) * self.accumulation_steps

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.first_step, self.num_steps):
            for micro_step in range(self.accumulation_steps):
                yield self.micro_batch(step, micro_step)

    def micro_batch(self, step: int, micro_step: int) -> list[Draw]:
        """The draws of forward pass `micro_step` of `step`."""
        pieces_per_step = self.accumulation_steps * self.num_processes
        piece = step * pieces_per_step + micro_step * self.num_processes + self.process_index
        start = min(piece * self.batch_size, self.num_draws)
        stop = min(start + self.batch_size, self.num_draws)
        return [self.plan.draw(position) for position in range(start, stop)]


def _round_to_total(values: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that sum to `total`: rounded down, the largest remainders rounded up."""
    counts = np.floor(values).astype(np.int64)
    missing = total - int(counts.sum())
    counts[np.argsort(-(values - counts), kind="stable")[:missing]] += 1
    return counts
