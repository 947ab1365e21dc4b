"""Samples that cannot be used: counted, written down with id and reason, and skipped, until there are too many."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from omni.samples.messages import SampleError, TooLongError
from train.runtime.save_errors import append_line

MINIMUM_TO_STOP = 10  # a share of a handful of samples says nothing


class BadSampleKind(Enum):
    """Why a sample cannot be used, where something depends on it."""

    TOO_LONG = "too long"
    LEFT_OUT = "left out"  # there is nothing wrong with it: it is not counted, neither as seen nor as bad
    OTHER = "other"


class LeftOutError(SampleError):
    """There is nothing wrong with a sample, but the objective has nothing to learn from it."""


@dataclass(frozen=True)
class BadSample:
    """One sample that was skipped."""

    id: str
    source: str  # the data set, as the recipe names it
    reason: str  # for people to read
    kind: BadSampleKind = BadSampleKind.OTHER  # for the run itself; neither written down nor saved

    @classmethod
    def from_error(cls, error: SampleError, source: str, sample_id: str | None = None) -> "BadSample":
        """Make it from what was raised; `sample_id` (default: that of the error) is what the data set calls it."""
        kind = BadSampleKind.TOO_LONG if isinstance(error, TooLongError) else BadSampleKind.OTHER
        kind = BadSampleKind.LEFT_OUT if isinstance(error, LeftOutError) else kind
        return cls(error.sample_id if sample_id is None else sample_id, source, error.reason, kind)

    def as_row(self) -> dict[str, str]:
        """Return what is written down, as JSON values."""
        return {"id": self.id, "source": self.source, "reason": self.reason}


class TooManyBadSamplesError(RuntimeError):
    """More samples than allowed could not be used."""


class BadSampleLog:
    """Counts good and bad draws; writes each bad sample once, as a line of a JSONL file."""

    def __init__(self, file: Path | None, max_share: float) -> None:
        """`file` None: only count (processes other than the main one)."""
        self.file = file
        self.max_share = max_share
        self.num_seen = 0
        self.num_bad = 0
        self.num_left_out = 0
        self.distinct: dict[tuple[str, str], BadSample] = {}

    def record(self, num_seen: int, bad: Iterable[BadSample], step: int) -> list[BadSample]:
        """Count one step's samples of all processes; returns those that are bad and new.

        Those that were left out are among `bad` and `num_seen`, and count for neither.

        Raises:
            TooManyBadSamplesError: the share is above the limit.
            SaveError: the file cannot be written.
        """
        num_given, bad = len(found := list(bad)), [one for one in found if one.kind is not BadSampleKind.LEFT_OUT]
        self.num_left_out += num_given - len(bad)
        self.num_seen += num_seen - (num_given - len(bad))
        self.num_bad += len(bad)
        new = [sample for sample in bad if self._is_new(sample)]
        if self.file is not None and new:
            rows = [json.dumps({"step": step, **sample.as_row()}, ensure_ascii=False) for sample in new]
            append_line(self.file, "\n".join(rows))
        if self.num_bad >= MINIMUM_TO_STOP and self.num_bad > self.max_share * self.num_seen:
            raise TooManyBadSamplesError(self.summary())
        return new

    def summary(self) -> str:
        """How many, and the first of them with their reasons."""
        shown = list(self.distinct.values())[:10]
        lines = [f"  {sample.id} ({sample.source}): {sample.reason}" for sample in shown]
        if len(self.distinct) > len(shown):
            lines.append(f"  ... and {len(self.distinct) - len(shown)} more")
        share = self.num_bad / max(self.num_seen, 1)
        where = "" if self.file is None else f" All of them are in {self.file}."
        return (
            f"{self.num_bad} of {self.num_seen} samples ({share:.1%}) could not be used; data.max_bad_share allows "
            f"{self.max_share:.1%}.{where} The first ones:\n" + "\n".join(lines)
        )

    def state_dict(self) -> dict[str, Any]:
        """Counts and samples, as JSON values."""
        return {
            "num_seen": self.num_seen,
            "num_bad": self.num_bad,
            "num_left_out": self.num_left_out,
            "distinct": [sample.as_row() for sample in self.distinct.values()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.num_seen, self.num_bad = state["num_seen"], state["num_bad"]
        self.num_left_out = state.get("num_left_out", 0)
        samples = [BadSample(**values) for values in state["distinct"]]
        self.distinct = {(sample.source, sample.id): sample for sample in samples}

    def _is_new(self, sample: BadSample) -> bool:
        key = (sample.source, sample.id)
        if key in self.distinct:
            return False
        self.distinct[key] = sample
        return True
