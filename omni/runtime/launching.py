"""What `accelerate launch -m train` and `torchrun -m train` show at the end: the command's own message, once.

The launchers put tracebacks of their own code below what the processes that they started have said, and end with
status 1 whatever these ended with. PyTorch calls `speak_plainly` in every process that imports it, the launchers' too
(the entry point `omni` of the group `torch.backends` in pyproject.toml, see
https://docs.pytorch.org/tutorials/unstable/python_extension_autoload.html). It does nothing but in a launcher that
starts a command of ours.
"""

import hashlib
import itertools
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

COMMANDS = {"train", "eval", "demo", "omni"}
_SCRIPTS = {"accelerate", "accelerate-launch", "torchrun"}
_MODULES = {"accelerate.commands.launch", "accelerate.commands.accelerate_cli", "torch.distributed.run"}
# What they log of settings that were not given, and of a process that has failed, which has said so itself.
_LOGGERS = ("accelerate.commands.launch", "torch.distributed.elastic.multiprocessing.api")


def speak_plainly() -> None:
    """In a launcher of one of our commands: end without a traceback, with the status that the command ended with."""
    if launches_ours(sys.orig_argv[1:]):
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(lambda record: False)
        sys.excepthook = _end


def launches_ours(words: Sequence[str]) -> bool:
    """Return whether these words, those after Python's own name, are a launcher that starts one of our modules."""
    words = [word for word in words if word != "-u"]
    if words[:1] == ["-m"]:
        is_launcher, rest = words[1:2] != [] and words[1] in _MODULES, words[2:]
    else:
        is_launcher, rest = bool(words) and Path(words[0]).name in _SCRIPTS, words[1:]
    modules = [after for word, after in itertools.pairwise(rest) if word in ("-m", "--module")]
    return is_launcher and bool(modules) and modules[0].partition(".")[0] in COMMANDS


def say_once(message: str) -> None:
    """Print a message on standard error, unless another process of the same launch on this machine has said it.

    Of several processes that fail for one reason, any may be the first, and the launcher then ends the others.
    """
    # one file for each process, in a folder of the launch and the attempt, which torch makes anew each time
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if error_file is not None:
        digest = hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()[:16]
        try:
            (Path(error_file).parents[1] / f"said-{digest}").touch(exist_ok=False)
        except FileExistsError:
            return
        except OSError:
            pass  # said twice is better than not at all
    print(message, file=sys.stderr, flush=True)


def _end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    status = _status(error)
    if status is None:  # a mistake in the launcher's own arguments, or in the launcher
        sys.__excepthook__(kind, error, traceback)
        return
    if status < 0 and -status not in (signal.SIGINT, signal.SIGTERM):
        name = signal.Signals(-status).name
        print(
            f"a process was ended by {name}" + ("; did the machine run out of memory?" if name == "SIGKILL" else ""),
            file=sys.stderr,
        )
    raise SystemExit(status if status >= 0 else 128 - status)


def _status(error: BaseException) -> int | None:
    """Return the exit status of the command, the negative number of the signal that ended it, or None."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if isinstance(error, subprocess.CalledProcessError):
        return error.returncode
    if isinstance(error, ChildFailedError):
        # The others were ended by a signal because one has failed.
        codes = [failure.exitcode for failure in error.failures.values()]
        return next((code for code in codes if code > 0), error.get_first_failure()[1].exitcode)
    if isinstance(error, SignalException):
        return -int(error.sigval)
    if isinstance(error, KeyboardInterrupt):  # the command has got it too, and saves
        return _wait_for_children()
    return None


def _wait_for_children() -> int:
    import psutil

    statuses = []
    for child in psutil.Process().children():
        while True:
            try:
                statuses.append(child.wait())
                break
            except KeyboardInterrupt:
                continue  # once more; the command has got this one too
    return next((status for status in statuses if status), 128 + signal.SIGINT)
