"""Open the data that a task names: official files of a benchmark, starter data, or a data set of the user's."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eval.data.opening import open_official
from eval.data.shards import shards_note
from eval.items.origin import Origin
from eval.task import OFFICIAL
from omni.readers import SampleDataset, open_dataset
from omni.readers.dataset import PreparedDataset
from omni.samples.messages import Sample, SampleError
from omni.samples.pairs import pairs_by_key
from omni.starter import resolve

PAIRS = "pairs:"
_SEED = 0  # of the partners, which are part of the data


@dataclass(frozen=True)
class Source:
    """The rows of a source, and what is known of their files before they are read."""

    rows: SampleDataset
    origin: Origin = field(default_factory=Origin)


def open_source(source: str, folder: str | None) -> Source:
    """Return the rows of a source.

    Args:
        source: `official:NAME/SPLIT`, a `starter:` name, or anything that `open_dataset` opens; `pairs:KEY:A,B` asks
            which of two items of A and B has a value of KEY (`omni.samples.pairs.pairs_by_key`).
        folder: where official files lie.

    Raises:
        FileNotFoundError, ValueError: it cannot be opened.
    """
    if source.startswith(OFFICIAL):
        official = open_official(source, folder)
        notes = tuple(filter(None, [shards_note(official.missing_shards)]))
        return Source(official, Origin(str(official.files.folder), official.layout.name, notes=notes))
    return Source(_paired(source) if source.startswith(PAIRS) else open_dataset(resolve(source)))


def _paired(source: str) -> SampleDataset:
    key, _, names = source.removeprefix(PAIRS).partition(":")
    parts = names.split(",")
    if not key or len(parts) != 2 or not all(parts):
        raise ValueError(f"{source!r} must be {PAIRS}KEY:FIRST,SECOND, such as {PAIRS}category:a.jsonl,b.jsonl")
    opened = [list(open_dataset(resolve(name))) for name in parts]
    bad: Sequence[Sample | SampleError] = [row for rows in opened for row in rows if isinstance(row, SampleError)]
    first, second = ([row for row in rows if isinstance(row, Sample)] for rows in opened)
    return PreparedDataset([*pairs_by_key(first, second, key, _SEED), *bad])
