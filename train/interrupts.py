"""Ctrl-C and SIGTERM let the running step finish, so that it can be saved."""

import signal
import sys
from types import FrameType
from typing import Any


class Interrupts:
    """Context manager that notes SIGINT and SIGTERM in `signal_number`; a second one acts as if this were not here."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()
        # One write, no print: a handler may interrupt a print that holds the lock of the stream.
        sys.stderr.write("\nstopping after this step and saving; once more stops at once, without saving\n")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def ignore_interrupts_in_worker(worker_index: int) -> None:
    """For data-loading workers: Ctrl-C reaches them too, but the training process decides when they end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
