"""Files and folders that are either whole or not there: write under another name, flush to disk, rename."""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_OLD_SUFFIX = ".replaced"
_NEW_SUFFIX = ".partial"
_LOCK_SUFFIX = ".saving"
_LONGEST_WAIT = 600.0  # seconds


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace the file `path` in one step: after a crash it holds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes files that only their owner can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replace_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends without an error it takes the place of `path`.

    After an error the temporary folder is removed and the old one stays. A crash between the two renames leaves the old
    folder next to its place, from where `recover_directory` brings it back. Of several processes that replace the same
    folder each waits for the one before, up to ten minutes.

    Raises:
        OSError: it waited too long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(path):
        _recover(path)
        remove_abandoned(path.parent, path.name)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_NEW_SUFFIX, dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            for item in temporary.rglob("*"):
                item.chmod(0o755 if item.is_dir() else 0o644)  # some writers make files that only their owner can read
                _flush(item)
            _flush(temporary)
            replaced = path.with_name(path.name + _OLD_SUFFIX)
            if path.exists():
                path.rename(replaced)
            temporary.rename(path)
            _flush(path.parent)
            shutil.rmtree(replaced, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def refuse_foreign(path: Path, own: Collection[str]) -> None:
    """Raise ValueError if the folder `path`, which is to be replaced, holds more than the names `own`."""
    recover_directory(path)
    if not path.exists():
        return
    foreign = sorted(item.name for item in path.iterdir() if item.name not in own)
    if foreign:
        raise ValueError(
            f"{path} also holds {foreign[:5]}, which saving would delete; choose another folder to save to"
        )


def remove_abandoned(parent: Path, name: str | None = None) -> None:
    """Remove the temporary folders that killed processes left in `parent`: those for `name`, or all of them.

    Nobody else may be replacing these folders.
    """
    if name is None:
        for lock in parent.glob(f".*{_LOCK_SUFFIX}"):
            lock.unlink(missing_ok=True)
    pattern = "*" if name is None else glob.escape(name)
    for abandoned in parent.glob(f".{pattern}.*{_NEW_SUFFIX}"):
        shutil.rmtree(abandoned, ignore_errors=True)


def recover_directory(path: Path) -> None:
    """Finish or undo a replacement of `path` that a crash interrupted between its renames.

    One that is going on is waited for.
    """
    path = path.absolute()  # "." has no name
    if not path.name:
        return
    if path.with_name(path.name + _OLD_SUFFIX).exists():
        with _one_at_a_time(path):
            _recover(path)


def _recover(path: Path) -> None:
    replaced = path.with_name(path.name + _OLD_SUFFIX)
    if replaced.exists():
        if path.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(path)


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock on the place `path`; where the disk has no locks, or nothing can be written, do without."""
    lock = FileLock(path.with_name(f".{path.name}{_LOCK_SUFFIX}"), fallback_to_soft=False)
    try:
        lock.acquire(timeout=_LONGEST_WAIT)
    except Timeout:
        raise OSError(
            f"another process has been saving to {path} for {_LONGEST_WAIT / 60:.0f} minutes; choose another folder"
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()  # while it is held, so that it is nobody else's
            lock.release()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
