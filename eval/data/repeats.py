"""Rows of a data set whose ids stand there more than once: a row that says the same again is no second item."""

from omni.readers.dataset import SampleDataset
from omni.readers.row_digest import bytes_of_row, bytes_of_sample
from omni.samples.messages import Sample, SampleError

_SHOWN = 3


class Repeats:
    """Looks at the rows of a data set one after another, and remembers their ids."""

    def __init__(self, dataset: SampleDataset) -> None:
        self._dataset = dataset
        self._first: dict[str, int] = {}
        self._differing: dict[str, list[int]] = {}

    def reason(self, index: int, sample: Sample) -> str | None:
        """Return why a row is left out, if an earlier one has its id and says the same; None = it is an item.

        A row with the id of an earlier one that says something else is an item of its own, which `notes` names.
        """
        first = self._first.setdefault(sample.id, index)
        if first == index:
            return None
        if _content(self._dataset[first]) != _content(sample):
            self._differing.setdefault(sample.id, [first]).append(index)
            return None
        places = f"{self._dataset.place(first)} and {self._dataset.place(index)}"
        return f"stands there twice ({places}) and says the same; it is asked once"

    def notes(self) -> list[str]:
        """Return a sentence about ids that several rows have which differ, if there are any."""
        if not self._differing:
            return []
        named = [
            f"{id!r} ({', '.join(map(self._dataset.place, rows[:_SHOWN]))}{', ...' if len(rows) > _SHOWN else ''})"
            for id, rows in [*self._differing.items()][:_SHOWN]
        ]
        number, more = len(self._differing), ", ..." if len(self._differing) > _SHOWN else ""
        ids = "an id stands" if number == 1 else f"{number} ids stand"
        return [f"{ids} at several rows that differ, each of which is asked: {', '.join(named)}{more}"]


def _content(entry: Sample | SampleError) -> list[object]:
    """What a row says: its conversation, with where its media are, and its other keys."""
    if isinstance(entry, SampleError):
        return [bytes_of_sample(entry)]
    return [bytes_of_sample(entry), [media.path for media in entry.media], bytes_of_row(entry.meta)]
