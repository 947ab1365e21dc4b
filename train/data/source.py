"""An opened data set of a recipe, as all that reads it is given it."""

from collections.abc import Sequence
from dataclasses import dataclass

from omni.readers import SampleDataset


@dataclass(frozen=True)
class Source:
    """An opened data set of a recipe."""

    name: str
    dataset: SampleDataset
    rows: Sequence[int]  # those that are used
    weight: float | None
    instructions: tuple[str, ...]
    train_on_questions: bool = False

    @property
    def size(self) -> int:
        """Number of rows that are used."""
        return len(self.rows)
