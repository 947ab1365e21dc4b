"""Those that wait for their turn: in the order of their arrival, no more than a bound, read while they wait."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition

from omni.answering.events import QueueFullError
from omni.answering.jobs import Call, Job, Question

_RATE_OVER = 16  # beginnings of answers over which it is estimated when a place is free
_LONGEST_RETRY = 60.0  # seconds


class WaitingLine:
    """Hands jobs to the threads that read and that answer; all methods may be called from any thread.

    Args:
        max_waiting: the most that may wait.
        read_ahead: how many at most are read before their turn, since what is read takes memory.
    """

    def __init__(self, max_waiting: int, read_ahead: int) -> None:
        self.max_waiting = max_waiting
        self._read_ahead = read_ahead
        self._jobs: dict[int, Job] = {}
        self._changed = Condition()
        self._closed = False
        self._begun: deque[float] = deque(maxlen=_RATE_OVER)  # when the latest answers began

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Let a job wait.

        Raises:
            QueueFullError: as many wait already as may.
            RuntimeError: it is closed.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("this Answering is closed")
            if len(self._jobs) >= self.max_waiting:
                raise QueueFullError(self.max_waiting, self._retry_after())
            self._jobs[job.number] = job
            self._changed.notify_all()

    def remove(self, job: Job) -> bool:
        """Return whether the job waited; it does no longer."""
        with self._changed:
            found = self._jobs.pop(job.number, None) is not None
            self._changed.notify_all()
            return found

    def remove_late(self) -> list[Job]:
        """Remove and return those whose time is over."""
        with self._changed:
            late = [job for job in self._jobs.values() if job.is_late]
            for job in late:
                del self._jobs[job.number]
            return late

    def close(self) -> list[Job]:
        """Let nobody wait any more; return those that did."""
        with self._changed:
            self._closed = True
            left = [*self._jobs.values()]
            self._jobs.clear()
            self._changed.notify_all()
            return left

    # --- for the threads that read ---

    def next_to_read(self, texts_only: bool) -> Job | None:
        """Wait for a job that must be read, with media or (`texts_only`) without; None = it is closed."""
        with self._changed:
            while not self._closed:
                waiting = [*self._jobs.values()]
                unread = [job for job in waiting if not (job.is_ready or job.is_being_read)]
                unread = [job for job in unread if job.is_text_only == texts_only]
                if unread and sum(job.is_ready for job in waiting) < self._read_ahead:
                    unread[0].is_being_read = True
                    return unread[0]
                self._changed.wait()
        return None

    def note_read(self) -> None:
        """Tell the thread that answers that a job was read."""
        with self._changed:
            self._changed.notify_all()

    # --- for the thread that answers ---

    def wait(self, is_busy: Callable[[], bool]) -> bool:
        """Wait until there is something to do, which there is while `is_busy`; False = it is closed."""
        with self._changed:
            while not self._closed and not is_busy():
                if any(job.is_ready or job.is_late for job in self._jobs.values()):
                    break
                deadlines = [job.deadline for job in self._jobs.values() if job.deadline is not None]
                self._changed.wait(max(0.0, min(deadlines) - time.monotonic()) if deadlines else None)
            return not self._closed

    def num_ready(self) -> int:
        """Return how many conversations wait for nothing but their turn."""
        with self._changed:
            return sum(isinstance(job, Question) and job.is_ready for job in self._jobs.values())

    def take(self, num_admissible: Callable[[Sequence[Question]], int]) -> list[Job]:
        """Remove and return those whose turn it is.

        These are bad ones, one call, and of the conversations the first ones, as many as `num_admissible` says of them.
        """
        with self._changed:
            ready = [job for job in self._jobs.values() if job.is_ready]
            sound = [job for job in ready if job.error is None]
            questions = [job for job in sound if isinstance(job, Question)]
            admitted = questions[: num_admissible(questions)]
            self._begun.extend([time.monotonic()] * len(admitted))
            calls = [job for job in sound if isinstance(job, Call)][:1]
            found = [*(job for job in ready if job.error is not None), *calls, *admitted]
            for job in found:
                del self._jobs[job.number]
            self._changed.notify_all()  # those who read may go on
            return found

    def _retry_after(self) -> float:
        """Seconds in which about one conversation begins to be answered."""
        if len(self._begun) < 2:
            return 1.0
        each = (time.monotonic() - self._begun[0]) / len(self._begun)
        return min(max(1.0, each), _LONGEST_RETRY)
