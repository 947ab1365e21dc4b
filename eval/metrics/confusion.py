"""Confusion: how often each right class was taken for each class, as data that a result keeps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix of C classes.

    Attributes:
        labels: the classes.
        cells: (right class, class that was said, how often) of each cell that is not 0; a tie is shared.
    """

    labels: Sequence[str]
    cells: Sequence[tuple[int, int, float]]

    @classmethod
    def of(cls, labels: Sequence[str], matrix: np.ndarray) -> "Confusion":
        """Make one from a matrix [C, C] whose rows are the right classes."""
        return cls(
            tuple(labels),
            tuple((int(row), int(column), float(matrix[row, column])) for row, column in np.argwhere(matrix)),
        )

    def matrix(self) -> np.ndarray:
        """Return the matrix [C, C]; its rows are the right classes."""
        found = np.zeros((len(self.labels), len(self.labels)))
        for row, column, count in self.cells:
            found[row, column] = count
        return found

    def most_confused(self, number: int) -> list[tuple[str, str, float, float]]:
        """Return (right class, class that was said, how often, its share of the right class), most first."""
        totals = self.matrix().sum(1)
        wrong = sorted((cell for cell in self.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
        return [
            (self.labels[row], self.labels[column], count, count / float(totals[row]))
            for row, column, count in wrong[:number]
        ]
