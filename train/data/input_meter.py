"""How long steps wait for data, and how fast it could come: shown with the metrics, with a hint where it dominates."""

from collections.abc import Sequence
from typing import NamedTuple

_HINT_SHARE = 0.3
_HINT_STEPS = 5  # fewer say nothing; the first step does not count, since workers only start with it


class InputTimes(NamedTuple):
    """One process's part of a step."""

    waited: float  # seconds in which the training process had nothing to do
    busy: float  # seconds that reading and preparing the step's samples took, of all workers together
    num_samples: int


class PreparedBatch(list):
    """A list of prepared samples that knows how long they took; it is made in a data-loading worker."""

    seconds: float = 0.0


class InputMeter:
    """Adds up the times of the steps between two lines of metrics."""

    def __init__(self, num_workers: int, has_feature_cache: bool = False) -> None:
        """has_feature_cache: whether the run keeps features, so that there is no use in advising it."""
        self._has_feature_cache = has_feature_cache
        self._num_readers = max(1, num_workers)
        self._first = True
        self._hinted = False
        self._hint_waited, self._hint_seconds, self._hint_steps = 0.0, 0.0, 0
        self._clear()

    def add(self, processes: Sequence[InputTimes], seconds: float) -> None:
        """Count a step of `seconds`. All processes go on together, so the one that waited longest decides."""
        waited = max(times.waited for times in processes)
        self._waited += waited
        self._seconds += seconds
        self._steps += 1
        self._rate += sum(times.num_samples / times.busy for times in processes if times.busy > 0)
        if not self._first:
            self._hint_waited += waited
            self._hint_seconds += seconds
            self._hint_steps += 1
        self._first = False

    def figures(self) -> dict[str, float]:
        """The metrics of the steps since the last call: mean seconds of a step, the share of them in which it waited
        for data, and samples per second that the input pipeline of all processes would give alone."""
        figures = {
            "step_seconds": self._seconds / max(1, self._steps),
            "data_wait_share": self._waited / self._seconds if self._seconds else 0.0,
            "input_samples_per_second": self._num_readers * self._rate / max(1, self._steps),
        }
        self._clear()
        return figures

    def hint(self) -> str | None:
        """What to do when waiting dominates; said once."""
        if self._hinted or self._hint_steps < _HINT_STEPS or self._hint_waited <= _HINT_SHARE * self._hint_seconds:
            return None
        self._hinted = True
        share = self._hint_waited / self._hint_seconds
        waits = f"the steps wait {share:.0%} of their time for data: raise train.num_workers"
        if self._has_feature_cache:
            return waits
        return f"{waits}, or set train.feature_cache so that media are encoded only once"

    def _clear(self) -> None:
        self._waited, self._seconds, self._steps, self._rate = 0.0, 0.0, 0, 0.0
