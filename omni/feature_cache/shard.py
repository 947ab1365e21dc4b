"""Read one shard, while others may write to it or delete it."""

import contextlib
import mmap
import os
import time
import zlib
from pathlib import Path

from omni.feature_cache.record import DAMAGED, ENTRY, KEY_BYTES, RECORD_BYTES, SEALED, Record, read_record

INDEX_SUFFIX, DATA_SUFFIX = ".index", ".data"
_SECONDS_BETWEEN_MARKS_OF_USE = 60.0


class DamagedEntryError(Exception):
    """The data of an entry are not what was written; the text says what is wrong and where."""


class ShardDeletedError(Exception):
    """The shard does not exist any more."""


class Shard:
    """The reader's side of a shard.

    `first_byte_not_read` of the index moves only past whole, undamaged records, so a record that is being written is
    seen the next time.
    """

    def __init__(self, index_path: Path, itemsize: int) -> None:
        self.index_path = index_path
        self.data_path = index_path.with_suffix(DATA_SUFFIX)
        self.itemsize = itemsize
        self.is_sealed = False
        self.first_byte_not_read = 0
        self.num_reports = 0
        self._map: mmap.mmap | None = None
        self._index_file: int | None = None
        self._marked_at = -_SECONDS_BETWEEN_MARKS_OF_USE

    def read_new_entries(self, size: int) -> tuple[list[tuple[bytes, int]], list[int]]:
        """Return keys and record numbers of the entries that were added, and the numbers of damaged records between.

        size: bytes of the index now.
        """
        try:
            content = self._read_index(self.first_byte_not_read, size - self.first_byte_not_read)
        except ShardDeletedError:
            return [], []
        first = self.first_byte_not_read // RECORD_BYTES
        entries: list[tuple[bytes, int]] = []
        damaged: list[int] = []
        num_surely_damaged = 0
        for number in range(first, first + len(content) // RECORD_BYTES):
            start = (number - first) * RECORD_BYTES
            record = read_record(content[start : start + RECORD_BYTES])
            if record is None:
                damaged.append(number)
                continue
            num_surely_damaged = len(damaged)  # those after the last good one may still be on their way
            self.first_byte_not_read = (number + 1) * RECORD_BYTES
            if record.kind == ENTRY:
                entries.append((record.key, number))
            elif record.kind == SEALED:
                self.is_sealed = True
        return entries, damaged[:num_surely_damaged]

    def read(self, key: bytes, number: int) -> tuple[Record, bytearray, bytearray] | None:
        """Read record `number` with its values and mask as bytes; None if anyone has found it damaged before.

        Raises:
            DamagedEntryError: record or data are damaged.
            ShardDeletedError: another process has deleted the shard.
        """
        record = read_record(self._read_index(number * RECORD_BYTES, RECORD_BYTES))
        if record is None or record.key != key:
            raise DamagedEntryError(f"{self.index_path}, record {number}: wrong checksum")
        if record.kind == DAMAGED:
            return None
        values = bytearray(record.num_values_bytes(self.itemsize))
        mask = bytearray(record.num_mask_bytes)
        end = record.offset + len(values) + len(mask)
        where = f"{self.data_path}, bytes {record.offset} to {end}"
        if mask:  # an empty file cannot be mapped
            mapped = self._mapped(end)
            if mapped is None:
                raise DamagedEntryError(f"{where}: the file is cut off")
            with memoryview(mapped) as view:
                values[:] = view[record.offset : record.offset + len(values)]
                mask[:] = view[record.offset + len(values) : end]
        if zlib.crc32(mask, zlib.crc32(values)) != record.checksum:
            raise DamagedEntryError(f"{where}: wrong checksum")
        self._mark_use()
        return record, values, mask

    def mark_damaged(self, number: int, key: bytes = bytes(KEY_BYTES)) -> None:
        """Write into the index that record `number` or its data are damaged, so that nobody reads them again."""
        try:
            file = os.open(self.index_path, os.O_WRONLY)
        except OSError:
            return  # deleted, or not ours to write: this process has forgotten the entry, others will find out too
        try:
            os.pwrite(file, Record(DAMAGED, key).to_bytes(), number * RECORD_BYTES)
        except OSError:
            pass
        finally:
            os.close(file)

    def close(self) -> None:
        """Close the open files; they are opened again when needed."""
        if self._map is not None:
            self._map.close()
        if self._index_file is not None:
            os.close(self._index_file)
        self._map = self._index_file = None

    def _read_index(self, offset: int, size: int) -> bytes:
        if self._index_file is None:
            try:
                self._index_file = os.open(self.index_path, os.O_RDONLY)
            except FileNotFoundError as error:
                raise ShardDeletedError from error
        return os.pread(self._index_file, size, offset)

    def _mapped(self, end: int) -> mmap.mmap | None:
        """Map the data file into memory, at least up to `end`; return None if it is shorter.

        The file's size is looked up each time, because reading mapped memory after the end of a file kills the process.
        """
        if self._map is not None and self._map.size() >= end and len(self._map) < end:
            self._map.close()
            self._map = None
        if self._map is None:
            try:
                file = os.open(self.data_path, os.O_RDONLY)
            except FileNotFoundError as error:
                if not self.index_path.exists():
                    raise ShardDeletedError from error
                raise DamagedEntryError(f"{self.data_path} is missing") from error
            try:
                if os.fstat(file).st_size < end:
                    return None
                self._map = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
            finally:
                os.close(file)
        return self._map if self._map.size() >= end else None

    def _mark_use(self) -> None:
        """Set the index's time of change now and then, by which the size limit finds shards that are not used."""
        now = time.monotonic()
        if now - self._marked_at >= _SECONDS_BETWEEN_MARKS_OF_USE:
            self._marked_at = now
            with contextlib.suppress(OSError):  # deleted, or not ours to change
                os.utime(self.index_path)


def list_indexes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of each index file in `folder`, by name."""
    sizes: dict[str, int] = {}
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.endswith(INDEX_SUFFIX):
                    try:
                        sizes[entry.name] = entry.stat().st_size
                    except FileNotFoundError:  # deleted in this moment
                        continue
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return sizes
