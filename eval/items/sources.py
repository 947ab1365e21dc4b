"""Open the data that a task names: official files of a benchmark, starter data, or a data set of the user's."""

from eval.data import SCHEME, open_official
from omni.readers import SampleDataset, open_dataset
from omni.starter import resolve


def open_source(source: str, folder: str | None) -> SampleDataset:
    """Return the rows of a source.

    Args:
        source: `official:NAME/SPLIT`, a `starter:` name, or anything that `open_dataset` opens.
        folder: where official files lie.

    Raises:
        FileNotFoundError, ValueError: it cannot be opened.
    """
    if source.startswith(SCHEME):
        return open_official(source, folder)
    return open_dataset(resolve(source))
