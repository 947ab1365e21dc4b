"""The contract of readers: random access to samples, with the rows that cannot be used kept in their places."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omni.readers.row_digest import bytes_of_row, bytes_of_sample, evenly_spread, hash_of
from omni.samples.messages import Sample, SampleError, check_unicode

_ROWS_LOOKED_AT = 1000


class SampleDataset(ABC):
    """A sequence of samples; a row that cannot be used is a `SampleError` in its place, never raised.

    Safe to pickle and to use in forked or spawned data-loading workers.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _read(self, index: int) -> Sample:
        """Read sample `index` (from 0 to len - 1). Raises SampleError."""

    def __getitem__(self, index: int) -> Sample | SampleError:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"row {index} of a data set of {size} rows")
        try:
            return check_unicode(self._read(index % size))
        except SampleError as error:
            return error.bare()
        except Exception as error:  # whatever a damaged row makes a reader raise, it costs this row alone
            return unreadable(f"row {index % size}", error)

    def __iter__(self) -> Iterator[Sample | SampleError]:
        return (self[index] for index in range(len(self)))

    def place(self, index: int) -> str:
        """Return where row `index` stands, as people look it up; readers that know its file say that too."""
        return f"row {index + 1}"

    @property
    def stream(self) -> "StreamDataset | None":
        """This data set as a stream, if its rows come fast only one after another; None if any row does."""
        return None

    def fingerprint(self, rows: Sequence[int]) -> str:
        """Return 64 hex digits that change with what `rows` say, their number and their order; media are not read.

        Here it looks at a thousand rows at most, evenly spread over all; readers that can do it fast look at each.
        """
        seen = (bytes_of_sample(self[row]) for row in evenly_spread(rows, _ROWS_LOOKED_AT))
        return hash_of([str(len(rows)).encode(), *seen])


class StreamDataset(SampleDataset):
    """A data set of shards that are best read from front to back; training reads them in the order of a stream.

    Attributes:
        shards: names of the shards, in order.
        sizes: samples of each shard.
        shuffle_buffer: how many samples training may hold back to mix their order.
        lanes: how many parts training reads side by side; None = one for each process and worker.
    """

    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    shuffle_buffer: int
    lanes: int | None

    @property
    def stream(self) -> "StreamDataset":
        return self

    def fingerprint(self, rows: Sequence[int]) -> str:
        """Return 64 hex digits that change with the shards' names, numbers of samples and, of files, sizes in bytes."""
        used = [(shard, size) for shard, size in zip(self.shards, self.sizes, strict=True) if size]
        sizes = [os.path.getsize(shard) if os.path.isfile(shard) else None for shard, _ in used]
        return hash_of([bytes_of_row([[(os.path.basename(shard), size) for shard, size in used], sizes])])

    @property
    def can_reread(self) -> bool:
        """Whether rows can be read once more at little cost, only to look at them."""
        return True

    @abstractmethod
    def entries(self, shard: int, start: int = 0) -> Iterator[Any]:
        """Yield the samples of shard number `shard` from `start` on, undecoded: as many as `sizes` says."""

    @abstractmethod
    def decode(self, entry: Any, shard: int) -> Sample | SampleError:
        """Return a sample of shard number `shard` in the messages form, or what is wrong with it."""

    @abstractmethod
    def limited(self, limit: int) -> "StreamDataset":
        """Return the same data set with the first `limit` rows only."""


class InMemoryDataset(SampleDataset):
    """Rows in memory, each made into a sample by `parse(row, default id)` when it is asked for.

    `parse` is a top-level function or a `functools.partial` of one, so that it can be pickled.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], parse: Callable[[Any, str], Sample], name: str) -> None:
        self.rows = rows
        self.parse = parse
        self.name = name

    def __len__(self) -> int:
        return len(self.rows)

    def _read(self, index: int) -> Sample:
        return self.parse(self.rows[index], f"{self.name}:{index + 1}")

    def place(self, index: int) -> str:
        return f"row {index + 1} of {self.name}"

    def fingerprint(self, rows: Sequence[int]) -> str:
        return hash_of(bytes_of_row(self.rows[row]) for row in rows)


class PreparedDataset(SampleDataset):
    """Samples and errors that were made before."""

    def __init__(self, entries: Sequence[Sample | SampleError]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def _read(self, index: int) -> Sample:
        entry = self.entries[index]
        if isinstance(entry, SampleError):
            raise entry
        return entry

    def fingerprint(self, rows: Sequence[int]) -> str:
        return hash_of(bytes_of_sample(self.entries[row]) for row in rows)


def unreadable(sample_id: str, error: Exception) -> SampleError:
    """Return the error of a row that made a reader raise what readers do not raise on purpose."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return SampleError(sample_id, f"the row cannot be read ({reason[:500]}); correct or remove it")
