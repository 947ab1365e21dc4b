"""The result of every reader: random access to samples, with the rows that cannot be used kept in their places."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omni.samples.messages import Sample, SampleError, check_unicode


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
            # A copy without traceback and cause, which would keep the row's pictures alive.
            return SampleError(error.sample_id, error.reason)

    def __iter__(self) -> Iterator[Sample | SampleError]:
        return (self[index] for index in range(len(self)))


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
