"""The folder of one run: nobody else reads it, and it goes with the run, also after a crash."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".lock"


@contextmanager
def private_folder(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that only this user can read, and remove it at the end.

    What runs that were killed have left is removed first: a run holds the lock of its folder, and the system frees it
    however the run ends.

    Args:
        name: the beginning of its name, one for each kind of run.
        parent: where it is made; None = the system's folder for temporary files.
    """
    base = Path(tempfile.gettempdir()) if parent is None else parent
    base.mkdir(parents=True, exist_ok=True)
    remove_leftovers(name, base)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base)).resolve()  # of mode 0700
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(name: str, base: Path) -> None:
    """Remove the folders of runs that are no more."""
    for folder in base.glob(f"{name}-*"):
        if folder.is_symlink() or not (folder / _LOCK).is_file():
            continue
        try:
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # it runs, or belongs to somebody else
            continue


def bytes_in(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        except OSError:  # removed in between
            continue
    return total
