"""Large pictures one after the other: a dozen workers that each decode the largest one at once would fill the memory.

A picture of the limit of 89 million pixels takes 0.3 to 2 GB while it is decoded and converted, depending on its kind.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

from filelock import FileLock

LARGE = 1 << 24  # pixels: 17 million, more than most cameras take; smaller ones do not wait
_LONGEST_WAIT = 600.0  # seconds, for a process that was stopped in its turn

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Turns(threading.local):
    """Of each thread: what it holds while it loads one item; None outside of a loader."""

    held: ExitStack | None = None
    has_turn: bool = False


_turns = _Turns()
_thread_lock = threading.Lock()


def one_by_one(load: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a loader wait for its turn, among the threads and processes of a user, once it meets a large picture."""

    @wraps(load)
    def load_in_turn(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if _turns.held is not None:  # within another loader
            return load(*args, **kwargs)
        with ExitStack() as held:
            _turns.held, _turns.has_turn = held, False
            try:
                return load(*args, **kwargs)
            finally:
                _turns.held = None

    return load_in_turn


def wait_for_turn(num_pixels: int) -> None:
    """Wait until no other loader is at a large picture, if this is one, and keep the turn until the loader ends."""
    if num_pixels > LARGE and _turns.held is not None and not _turns.has_turn:
        _turns.held.enter_context(_thread_lock)
        _turns.held.enter_context(_process_lock())
        _turns.has_turn = True


def lock_file() -> str:
    """Return the file that a process locks while it has its turn, one for each user of the machine."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return os.path.join(tempfile.gettempdir(), f"omni-large-pictures-{user}.lock")


@contextmanager
def _process_lock() -> Iterator[None]:
    """Hold a lock among processes; one that is killed gives it back. Where no file can be locked, only threads wait."""
    lock = FileLock(lock_file())
    with suppress(OSError, NotImplementedError):
        lock.acquire(timeout=_LONGEST_WAIT)
    try:
        yield
    finally:
        lock.release()


def _begin_anew() -> None:
    global _thread_lock
    _thread_lock = threading.Lock()  # another thread may have held it when the process was forked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
