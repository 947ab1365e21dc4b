"""End a training run after some seconds, the way that SIGTERM does: the running step is finished and saved."""

import _thread
import signal
import threading

from train.run.loop import Trainer
from train.run.run_state import RunInterruptedError

_BETWEEN_SIGNALS = 0.1  # seconds; one that comes before training listens has no effect, so it is sent again


def run_for(trainer: Trainer, seconds: float | None) -> None:
    """Train to the end, or until `seconds` are over; at least one step is done.

    Raises:
        RunInterruptedError: a signal from outside ended the run.
    """
    if seconds is None:
        trainer.run()
        return
    is_over, is_done = threading.Event(), threading.Event()

    def interrupt() -> None:
        wait = seconds
        while not is_done.wait(wait):
            is_over.set()
            _thread.interrupt_main(signal.SIGTERM)  # does nothing while no handler of Python's is there
            wait = _BETWEEN_SIGNALS

    timer = threading.Thread(target=interrupt, daemon=True)
    timer.start()
    try:
        trainer.run()
    except RunInterruptedError:
        if not is_over.is_set():
            raise
    finally:
        is_done.set()
        timer.join()
