"""Writing into the output folder: whatever the disk does not take becomes one clear error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors

from omni.runtime.files import remove_abandoned
from omni.runtime.folder_lock import FolderInUseError, FolderLock


class SaveError(RuntimeError):
    """Something could not be written to the output folder; the checkpoint in last/, if there is one, is whole."""


@contextmanager
def explain_failure(path: Path) -> Iterator[None]:
    """What goes wrong with writing `path` in the block leaves it as a SaveError that names it."""
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SaveError(
            f"could not write {path}: {reason}. Make room or fix the permissions and run the same command again: it "
            "continues from last/, whose checkpoint is whole"
        ) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file.

    Raises:
        SaveError: the disk is full or not writable.
    """
    with explain_failure(path), path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def prepare_output(folder: Path) -> FolderLock:
    """Make the output folder, lock it and try to write in it: better now than after hours.

    What killed processes left half-written there goes. The lock is the caller's to release.

    Raises:
        ValueError: another run writes there, the folder cannot be made, or nothing can be written to it.
    """
    lock, probe = FolderLock(folder), folder / ".writable"
    try:
        lock.acquire()
        remove_abandoned(folder)
        probe.write_text("x", encoding="utf-8")
        probe.unlink()
        return lock
    except FolderInUseError as error:
        raise FolderInUseError(
            f"train.output_dir: {error}. Nothing was changed. Wait until it ends, stop it, or choose another "
            "--train.output_dir"
        ) from None
    except OSError as error:
        lock.release()
        raise ValueError(
            f"train.output_dir: nothing can be written to {folder} ({error.strerror or error}); choose another folder, "
            "or fix its permissions or the room on its disk"
        ) from error
