"""Ctrl-C and SIGTERM let the running step finish, so that it can be saved."""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any


class Interrupts:
    """Context manager that notes SIGINT and SIGTERM in `signal_number`; a second Ctrl-C stops at once.

    A second SIGTERM changes nothing: schedulers send it to every process of a job, whose launcher then passes it on,
    so that each gets it twice at once. Who cannot wait for the step and the save sends SIGKILL, as schedulers do.
    """

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
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._previous[signal.SIGINT])
        if self.signal_number == 0 and os.environ.get("LOCAL_RANK", "0") == "0":  # once on each machine
            # One write, no print: a handler may interrupt a print that holds the lock of the stream.
            sys.stderr.write("\nstopping after this step and saving; Ctrl-C once more stops at once, without saving\n")
        self.signal_number = self.signal_number or number

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


_WORKER_OUTLIVES_SIGTERM = 600  # seconds; longer than any step, so that the training process can finish it
_SAME_SIGTERM = 5.0  # seconds within which a second SIGTERM is the same one, passed on by a launcher


def survive_interrupts_in_worker(worker_index: int) -> None:
    """For data-loading workers: the training process decides when they end.

    A terminal's Ctrl-C and the SIGTERM of `timeout`, Slurm or systemd go to every process of the job. If workers died
    of them, torch would end the training process with an error in the middle of the step that it wants to finish.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _note_termination_in_worker)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """End this worker when its training process was killed.

    torch's worker notices that too, but then waits for ever to hand over batches that nobody takes: the pipe that they
    fill cannot break, since the worker has inherited its other end.
    """
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _note_termination_in_worker(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, _SAME_SIGTERM)
    signal.signal(signal.SIGALRM, _end_by_next_termination)


def _end_by_next_termination(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # that of torch, when all is done, does end the worker
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_WORKER_OUTLIVES_SIGTERM)
