"""Write entries: each process appends to a shard of its own."""

import contextlib
import fcntl
import os
import time
import uuid
import zlib
from pathlib import Path

from omni.feature_cache.record import ENTRY, RECORD_BYTES, SEALED, Record, aligned, read_record
from omni.feature_cache.shard import DATA_SUFFIX, INDEX_SUFFIX, list_indexes
from omni.feature_cache.sharing import give_file_mode, make_folder

NAME_FILE = "encoder.txt"
Buffer = bytes | bytearray | memoryview


class ShardWriter:
    """Append entries to a shard of `folder` that no other process writes to, and to the next one when it is full.

    shard_bytes: a shard is full when its data reach this size.
    """

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.encoder_name = ""  # as people read it
        self._process = os.getpid()
        self._index_file: int | None = None
        self._data_file: int | None = None
        self._index_end = 0
        self._data_end = 0

    def append(self, key: bytes, values: Buffer, mask: Buffer, shape: tuple[int, int, int]) -> int:
        """Write the values [C, N, D] and the mask [C, N] of an entry; return how many bytes the shard grew.

        Raises:
            OSError: the disk is full or cannot be written; the shard is as before.
        """
        if self._process != os.getpid():
            self._leave_to_parent()
        if self._index_file is None or self._data_file is None:
            self._open()
        assert self._index_file is not None
        assert self._data_file is not None
        offset = aligned(self._data_end)
        record = Record(ENTRY, key, offset, *shape, checksum=zlib.crc32(mask, zlib.crc32(values)))
        try:
            end = _write_all(self._data_file, values, offset)
            end = _write_all(self._data_file, mask, end)
            # After the data: a process that is killed here leaves data that no record names, never the reverse.
            index_end = _write_all(self._index_file, record.to_bytes(), self._index_end)
        except OSError:
            os.ftruncate(self._index_file, self._index_end)
            os.ftruncate(self._data_file, self._data_end)
            raise
        grown = end - self._data_end + RECORD_BYTES
        self._data_end, self._index_end = end, index_end
        if self._data_end >= self.shard_bytes:
            self._seal()
            grown += RECORD_BYTES
        return grown

    def close(self) -> None:
        """Free the shard for other writers."""
        if self._process == os.getpid() and self._index_file is not None:
            # Unlocked by name, because processes that were forked since hold the same lock through their copies.
            fcntl.flock(self._index_file, fcntl.LOCK_UN)
        self._close_files()

    def _open(self) -> None:
        make_folder(self.folder)
        if self.encoder_name:
            self._write_name()
        for name in sorted(list_indexes(self.folder)):
            if self._adopt(self.folder / name):
                return
        name = f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"
        index_path = self.folder / (name + INDEX_SUFFIX)
        # The index comes first, locked: data without an index belong to nobody and are deleted.
        self._index_file = os.open(index_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.flock(self._index_file, fcntl.LOCK_EX)
            give_file_mode(self._index_file, self.folder)
            self._data_file = os.open(index_path.with_suffix(DATA_SUFFIX), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            give_file_mode(self._data_file, self.folder)
        except OSError:
            self._close_files()
            raise
        self._index_end = self._data_end = 0

    def _write_name(self) -> None:
        """Write what the encoder is called, for people; a name that is there stays."""
        with contextlib.suppress(OSError):
            file = os.open(self.folder / NAME_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            give_file_mode(file, self.folder)
            os.write(file, f"{self.encoder_name}\n".encode())
            os.close(file)

    def _adopt(self, index_path: Path) -> bool:
        """Continue a shard of a process that has ended; return False if it is in use, full or gone."""
        try:
            self._index_file = os.open(index_path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(self._index_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._index_end, is_sealed = _end_of_records(self._index_file)
            is_current = os.fstat(self._index_file).st_ino == index_path.stat().st_ino
            if not is_sealed and is_current:
                # A writer killed between making the two files leaves an empty index alone.
                create = 0 if self._index_end else os.O_CREAT
                self._data_file = os.open(index_path.with_suffix(DATA_SUFFIX), os.O_RDWR | create, 0o644)
                # What a killed writer left after its last record is skipped in the data and cut off in the index.
                self._data_end = os.fstat(self._data_file).st_size
                if self._data_end < self.shard_bytes:
                    os.ftruncate(self._index_file, self._index_end)
                    return True
        except OSError:
            pass  # locked by its writer, deleted, or without its data file
        self._close_files()
        return False

    def _seal(self) -> None:
        assert self._index_file is not None
        try:
            _write_all(self._index_file, Record(SEALED).to_bytes(), self._index_end)
        except OSError:
            os.ftruncate(self._index_file, self._index_end)
        self.close()

    def _leave_to_parent(self) -> None:
        """Leave the shard to the parent of a forked process; this process gets one of its own."""
        self._process = os.getpid()
        self._close_files()

    def _close_files(self) -> None:
        for file in (self._index_file, self._data_file):
            if file is not None:
                os.close(file)
        self._index_file = self._data_file = None


def _write_all(file: int, content: Buffer, offset: int) -> int:
    """Write all of `content` at `offset`; return the offset after it."""
    with memoryview(content).cast("B") as rest:
        start = 0
        while start < len(rest):
            start += os.pwrite(file, rest[start:], offset + start)
        return offset + len(rest)


def _end_of_records(index_file: int) -> tuple[int, bool]:
    """Return the offset after the last good record, and whether that one seals the shard."""
    end = os.fstat(index_file).st_size // RECORD_BYTES * RECORD_BYTES
    while end:
        record = read_record(os.pread(index_file, RECORD_BYTES, end - RECORD_BYTES))
        if record is not None:
            return end, record.kind == SEALED
        end -= RECORD_BYTES
    return 0, False
