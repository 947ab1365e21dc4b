"""One writer of a folder at a time, by a lock that the system frees when its holder ends, however it ends."""

import contextlib
import errno
import getpass
import json
import logging
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = ".lock"
_SECONDS = 1.0  # that it is tried for: the children of a process that was killed may end a moment after it
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)

logger = logging.getLogger("omni.lock")


class FolderInUseError(ValueError):
    """Another process writes into the folder; the text says which one, and since when."""


class FolderLock:
    """Hold a folder for writing, by the lock on a file `.lock` in it (`flock`), which is gone after `release`.

    A process may hold a folder several times. A disk without locks is written to without one, with a warning: some
    network file systems have none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.path = self.folder / LOCK_FILE
        self._lock = FileLock(self.path, is_singleton=True, fallback_to_soft=False)
        self._made: list[Path] = []  # folders that were not there before, the innermost first
        self._is_held = False

    def acquire(self) -> None:
        """Take the lock; the folder is made if it is not there.

        Raises:
            FolderInUseError: another process holds it.
            OSError: the folder cannot be made or written to.
        """
        self._make_folder()
        try:
            self._lock.acquire(timeout=_SECONDS)
        except Timeout:
            raise FolderInUseError(f"{self.folder} is in use: {self._holder()}") from None
        except OSError as error:
            self._remove_folders()
            if error.errno not in _NO_LOCKS:
                raise
            self.folder.mkdir(parents=True, exist_ok=True)
            logger.warning(
                "%s is on a disk without file locks (%s): make sure yourself that nothing else writes there",
                *(self.folder, error.strerror),
            )
            return
        self._is_held = True
        self.path.write_text(json.dumps(_this_process()), encoding="utf-8")

    def release(self) -> None:
        """Free the folder; folders that `acquire` made go too if there is nothing in them."""
        if self._is_held:
            self._is_held = False
            if self._lock.lock_counter == 1:
                self.path.unlink(missing_ok=True)  # while it is held, so that it is nobody else's
            self._lock.release()
        self._remove_folders()

    def _make_folder(self) -> None:
        missing = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._made = missing

    def _remove_folders(self) -> None:
        with contextlib.suppress(OSError):  # there is something in it
            for folder in self._made:
                folder.rmdir()
        self._made = []

    def _holder(self) -> str:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return (
                f"process {found['pid']} of {found['user']} on {found['host']} has been writing there since "
                f"{found['since']}"
            )
        except (OSError, ValueError, KeyError, TypeError):
            return "another process is writing there"


@contextlib.contextmanager
def hold_folder(folder: Path, way_out: str) -> Iterator[None]:
    """Hold a folder for writing inside.

    Raises:
        ValueError: another process holds it; the message ends with `way_out`.
        OSError: the folder cannot be made or written to.
    """
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except FolderInUseError as error:
        raise FolderInUseError(f"{error}. {way_out}") from None
    try:
        yield
    finally:
        lock.release()


def _this_process() -> dict[str, str | int]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in some containers
        user = f"user {os.getuid()}"
    since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return {"pid": os.getpid(), "host": socket.gethostname(), "user": user, "since": since}
