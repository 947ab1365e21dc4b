"""How tar shards, which are best read from front to back, take their places in a plan of draws that anyone may enter.

The samples of a pass over a stream stand in one row: shard after shard, the shards in an order shuffled by seed and
epoch. The row is cut into *lanes*, one for each reader (data-loading worker of a process), and the draws of one
micro-batch all come from one lane. Micro-batches go round the processes and workers in turn, and lanes go round in the
same way, so each reader has its own shards (and at most shares one at each end of its lane) and all together have
everything.

Within a lane the order is mixed by giving sample i the place of i + u * shuffle_buffer, u uniform in [0, 1): like a
shuffle buffer no sample comes more than `shuffle_buffer` places early or late, but the order is known without reading.
So the position of a run is the number of its steps, and a resumed run opens the shard where it stopped, reads over at
most `shuffle_buffer` samples more, and gives the very samples that would have come. Whoever reads them (more workers,
other processes) changes what is read twice or skipped, never what comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from omni.readers import StreamDataset
from omni.samples.messages import Sample, SampleError


class StreamPlace(NamedTuple):
    """Where in a pass over a stream a draw's sample stands, counted along the shuffled shards."""

    lane: int
    number: int  # of the sample
    keep_from: int  # samples of the lane from here on may still be drawn


@dataclass(frozen=True)
class StreamLayout:
    """How a stream is cut up. Kept in checkpoints, since processes and workers may be others when a run goes on."""

    lanes: int
    block: int  # draws of the mix that follow each other in one lane: the micro-batch at the beginning of the run
    shard_sizes: tuple[int, ...]
    shuffle_buffer: int


class StreamOrder:
    """One pass over a stream: for each of its draws, the row of the data set and the place in its lane.

    Args:
        layout: how the stream is cut up.
        positions: [N] the places of the pass's draws in the mix, rising.
        seeds: what the order depends on: seed, data set and epoch.
    """

    def __init__(self, layout: StreamLayout, positions: np.ndarray, seeds: tuple[int, ...]) -> None:
        self._shards = ShardOrder(layout.shard_sizes, seeds)
        self.lanes = (positions // layout.block % layout.lanes).astype(np.int32)
        by_lane = np.argsort(self.lanes, kind="stable")
        counts = np.bincount(self.lanes, minlength=layout.lanes)
        self.indices = np.empty(len(positions), dtype=np.int64)
        self.keep_from = np.empty(len(positions), dtype=np.int64)
        first = 0
        for lane, count in enumerate(counts.tolist()):
            places = by_lane[first : first + count]
            random = np.random.default_rng((*seeds, 1, lane)).random(count)
            order = np.argsort(np.arange(count) + random * layout.shuffle_buffer, kind="stable")
            self.indices[places] = first + order
            self.keep_from[places] = first + np.maximum(np.arange(count) - layout.shuffle_buffer, 0)
            first += count

    def __getitem__(self, place: int) -> tuple[int, StreamPlace]:
        """Row in the data set, and place, of draw number `place`."""
        index = int(self.indices[place])
        return self._shards.row(index), StreamPlace(int(self.lanes[place]), index, int(self.keep_from[place]))


class ShardOrder:
    """The shards of one pass in their shuffled order."""

    def __init__(self, sizes: Sequence[int], seeds: tuple[int, ...]) -> None:
        self.shards: list[int] = np.random.default_rng((*seeds, 0)).permutation(len(sizes)).tolist()
        self.starts = np.array([0, *accumulate(sizes[shard] for shard in self.shards)])
        self._first_rows = [0, *accumulate(sizes)]

    def locate(self, index: int) -> tuple[int, int]:
        """Place among the shuffled shards, and number within that shard, of a sample."""
        place = int(np.searchsorted(self.starts, index, side="right")) - 1
        return place, index - int(self.starts[place])

    def row(self, index: int) -> int:
        """The row in the data set of a sample."""
        place, offset = self.locate(index)
        return self._first_rows[self.shards[place]] + offset


class LaneReader:
    """Reads one lane of one pass in order, and holds back what is drawn later."""

    def __init__(self, dataset: StreamDataset, seeds: tuple[int, ...]) -> None:
        self._dataset = dataset
        self._order = ShardOrder(dataset.sizes, seeds)
        self._held: dict[int, tuple[int, Any]] = {}  # index -> shard, sample; in rising order
        self._cursor = -1  # the next to be read
        self._entries: Iterator[tuple[int, Any]] = iter(())

    def read(self, place: StreamPlace) -> Sample | SampleError:
        """The sample at `place`; fast as long as `keep_from` rises."""
        while self._held and (oldest := next(iter(self._held))) < place.keep_from:
            del self._held[oldest]
        if place.number not in self._held:
            if not self._leads_to(place):
                self._held.clear()
                self._cursor = place.keep_from
                self._entries = self._read_from(place.keep_from)
            while self._cursor <= place.number:
                self._held[self._cursor] = next(self._entries)
                self._cursor += 1
        shard, entry = self._held.pop(place.number)
        return self._dataset.decode(entry, shard)

    def _leads_to(self, place: StreamPlace) -> bool:
        """Whether reading on comes to `place`, without reading shards that nobody asks for."""
        if not 0 <= self._cursor <= place.number:
            return False
        return self._order.locate(place.keep_from)[0] <= self._order.locate(self._cursor)[0]

    def _read_from(self, index: int) -> Iterator[tuple[int, Any]]:
        place, offset = self._order.locate(index)
        for shard in self._order.shards[place:]:
            for entry in self._dataset.entries(shard, offset):
                yield shard, entry
            offset = 0


def choose_lanes(num_shards: int, num_processes: int, num_workers: int, wanted: int | None) -> int:
    """How many lanes a stream gets: `wanted`, or one for each worker of each process if there are shards enough.

    With fewer shards, as many for each process as there can be; with fewer shards than processes, one for each shard,
    and several processes read the same lane.
    """
    if wanted is not None:
        return wanted
    per_process = min(max(1, num_workers), num_shards // num_processes)
    return num_processes * per_process if per_process else num_shards
