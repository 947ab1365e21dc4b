"""Measure a cache and keep its size limit: whole shards are deleted, the least recently used ones first."""

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from omni.feature_cache.record import ENTRY, RECORD_BYTES, read_record
from omni.feature_cache.shard import DATA_SUFFIX, INDEX_SUFFIX


@dataclass(frozen=True)
class ShardFiles:
    """The two files of a shard."""

    index_path: Path
    num_bytes: int  # of both files together
    last_used: float  # seconds since 1970; exact to a minute

    @property
    def data_path(self) -> Path:
        return self.index_path.with_suffix(DATA_SUFFIX)

    def num_entries(self) -> int:
        """Count the entries in the index, without damaged ones."""
        content = self.index_path.read_bytes()
        records = (read_record(content[at : at + RECORD_BYTES]) for at in range(0, len(content), RECORD_BYTES))
        return sum(record is not None and record.kind == ENTRY for record in records)


@dataclass(frozen=True)
class Pruned:
    """The result of `prune`."""

    num_shards: int
    num_bytes: int
    num_in_use: int  # shards that should have been deleted but are being written
    folders: frozenset[str] = frozenset()  # names of the encoders' folders that lost shards
    num_denied: int = 0  # shards that should have been deleted but are another user's


def list_shards(directory: Path) -> list[ShardFiles]:
    """List all shards of all encoders in a cache, the least recently used first."""
    shards = []
    for index_path in directory.glob(f"*/*{INDEX_SUFFIX}"):
        try:
            status = index_path.stat()
            num_data_bytes = _size(index_path.with_suffix(DATA_SUFFIX))
        except (FileNotFoundError, PermissionError):  # deleted in this moment, or in a folder of another user's
            continue
        shards.append(ShardFiles(index_path, status.st_size + num_data_bytes, status.st_mtime))
    return sorted(shards, key=lambda shard: (shard.last_used, shard.index_path.name))


def prune(directory: Path, max_bytes: int | None = None, unused_since: float | None = None) -> Pruned:
    """Delete shards until the cache holds at most `max_bytes`, and all that were not used since `unused_since`.

    Shards that a process is writing to stay.
    """
    _delete_data_without_index(directory)
    shards = list_shards(directory)
    total = sum(shard.num_bytes for shard in shards)
    num_shards = num_bytes = num_in_use = num_denied = 0
    folders: set[str] = set()
    for shard in shards:
        too_much = max_bytes is not None and total - num_bytes > max_bytes
        too_old = unused_since is not None and shard.last_used < unused_since
        if not (too_much or too_old):
            continue
        try:
            is_gone = _delete(shard)
        except PermissionError:
            num_denied += 1
            continue
        if is_gone:
            num_shards += 1
            num_bytes += shard.num_bytes
            folders.add(shard.index_path.parent.name)
        else:
            num_in_use += 1
    return Pruned(num_shards, num_bytes, num_in_use, frozenset(folders), num_denied)


def _delete(shard: ShardFiles) -> bool:
    """Delete a shard if no process writes to it; return whether it is gone."""
    try:
        file = os.open(shard.index_path, os.O_RDWR)
    except FileNotFoundError:
        return True  # somebody else did
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        # The index goes first: data without an index are deleted by whoever comes next.
        shard.index_path.unlink(missing_ok=True)
        shard.data_path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)


def _delete_data_without_index(directory: Path) -> None:
    """Delete what an interrupted deletion left: a new shard's index is made before its data, so no writer owns them."""
    for data_path in directory.glob(f"*/*{DATA_SUFFIX}"):
        with contextlib.suppress(PermissionError):  # another user's
            if not data_path.with_suffix(INDEX_SUFFIX).exists():
                data_path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
