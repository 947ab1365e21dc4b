"""What an `Answering` is asked for: answers, and calls of the model that run between steps."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from omni.answering.answer import Answer
from omni.answering.events import Finished, Reason
from omni.answering.sampling import Sampling
from omni.model.batch import Example
from omni.model.preparation import Messages
from omni.samples.messages import Sample

_numbers = itertools.count()


@dataclass(eq=False)
class Job:
    """One request, from its arrival to its turn.

    Args:
        messages: the conversation, whose media are read while it waits; None = there is none to read.
        deadline: `time.monotonic` at which nobody waits for it any more; None = never.
    """

    messages: Messages | Sample | None
    deadline: float | None = None
    example: Example | None = None  # once its media are read
    error: Exception | None = None  # of reading them
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def is_ready(self) -> bool:
        """Whether its media are read, or cannot be."""
        return self.messages is None or self.example is not None or self.error is not None

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def fail(self, error: Exception) -> None:
        """Tell the one who asked that it cannot be done."""
        raise NotImplementedError

    def give_up(self, reason: Reason) -> None:
        """Tell the one who asked that its turn will not come."""
        raise NotImplementedError


@dataclass(eq=False)
class Question(Job):
    """A conversation to be answered."""

    sampling: Sampling = field(default_factory=Sampling)
    answer: Answer = field(kw_only=True)
    cancelled: bool = False  # set by any thread

    def interruption(self) -> Reason | None:
        """Return why its answer must end now; None = it need not."""
        return "cancelled" if self.cancelled else "timeout" if self.is_late else None

    def fail(self, error: Exception) -> None:
        self.answer.take(error)

    def give_up(self, reason: Reason) -> None:
        self.answer.take(Finished(reason))


@dataclass(eq=False)
class Call(Job):
    """Something else that the model computes of a conversation."""

    compute: Callable[[], Any] = field(kw_only=True)
    result: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        """Compute it, and hand over the result or the error."""
        try:
            self.result.set_result(self.compute())
        except Exception as error:  # the one who asked gets it
            self.fail(error)

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    def give_up(self, reason: Reason) -> None:
        self.fail(TimeoutError("its time was over") if reason == "timeout" else RuntimeError("it was cancelled"))
