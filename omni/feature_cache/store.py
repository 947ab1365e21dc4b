"""Hold the entries of one encoder in one number format: all shards of a folder, as one mapping.

Shapes: C clips of one item, N features of a clip, D feature width.
"""

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path

from omni.feature_cache.record import KEY_BYTES, Record
from omni.feature_cache.shard import INDEX_SUFFIX, DamagedEntryError, Shard, ShardDeletedError, list_indexes
from omni.feature_cache.sharing import explain_denied
from omni.feature_cache.writer import Buffer, ShardWriter

logger = logging.getLogger("omni.feature_cache")

_MAX_OPEN_SHARDS = 64  # each takes two files, of which a process may often have only 1024 open
_MAX_REPORTS = 5  # damaged entries of one shard that are logged; a shard that lost half its bytes has thousands


class FeatureStore:
    """Read all shards of `folder`, and write one of its own.

    For each entry it only remembers the place, in about 200 bytes of memory.
    """

    def __init__(self, folder: Path, itemsize: int, shard_bytes: int) -> None:
        self.folder = folder
        self._itemsize = itemsize
        self._writer = ShardWriter(folder, shard_bytes)
        self._shards: dict[str, Shard] = {}
        self._open: OrderedDict[str, Shard] = OrderedDict()  # the last used comes last
        self._places: dict[bytes, tuple[Shard, int]] = {}
        self._copies: dict[bytes, list[tuple[Shard, int]]] = {}  # further places of entries written more than once
        self._denied: set[str] = set()  # shards of other users which this one may not read

    def get(self, name: str) -> tuple[Record, bytearray, bytearray] | None:
        """Read record, values [C, N, D] and mask [C, N] as bytes, or return None; damage is logged and forgotten."""
        key = key_of(name)
        has_looked = False
        while True:
            place = self._places.get(key)
            if place is None:
                if has_looked:
                    return None
                self.refresh()
                has_looked = True
                continue
            found = self._read(name, key, *place)
            if found is not None:
                return found
            self._forget(key)

    def __contains__(self, name: str) -> bool:
        """Return whether there is an entry; its data are not looked at."""
        key = key_of(name)
        if key not in self._places:
            self.refresh()
        return key in self._places

    def name_encoder(self, name: str) -> None:
        """Call the encoder `name` in what people read, from the next shard on that is begun."""
        self._writer.encoder_name = name

    def append(self, name: str, values: Buffer, mask: Buffer, shape: tuple[int, int, int]) -> int:
        """Write values [C, N, D] and mask [C, N]; return how many bytes the folder grew."""
        return self._writer.append(key_of(name), values, mask, shape)

    def refresh(self) -> None:
        """Look for entries that were written, and shards that were deleted, since the last time."""
        try:
            sizes = list_indexes(self.folder)
        except PermissionError as error:
            self._report_denied(self.folder, error)
            return
        for gone in self._shards.keys() - sizes.keys():
            self._drop(gone)
        for shard_name in sorted(sizes):
            shard = self._shards.get(shard_name)
            if shard is None:
                shard = self._shards[shard_name] = Shard(self.folder / shard_name, self._itemsize)
            if shard.is_sealed or sizes[shard_name] <= shard.first_byte_not_read:
                continue
            if shard_name in self._denied:
                continue
            self._touch(shard)
            try:
                entries, damaged = shard.read_new_entries(sizes[shard_name])
            except PermissionError as error:
                self._report_denied(shard.index_path, error)
                continue
            for key, number in entries:
                if key in self._places:
                    self._copies.setdefault(key, []).append(self._places[key])
                self._places[key] = (shard, number)
            for number in damaged:
                shard.mark_damaged(number)
            if damaged:
                where = f"{shard.index_path}, record{'s' * (len(damaged) > 1)} {', '.join(map(str, damaged[:10]))}"
                count = f"{len(damaged)} items" if len(damaged) > 1 else "an item"
                logger.warning("features of %s are lost and will be computed again: %s: wrong checksum", count, where)

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        self._writer.close()
        for shard in self._open.values():
            shard.close()
        self._open.clear()

    def _read(self, name: str, key: bytes, shard: Shard, number: int) -> tuple[Record, bytearray, bytearray] | None:
        self._touch(shard)
        try:
            return shard.read(key, number)
        except ShardDeletedError:
            return None
        except PermissionError as error:
            self._report_denied(shard.data_path, error)
            return None
        except DamagedEntryError as error:
            shard.mark_damaged(number, key)
            shard.num_reports += 1
            if shard.num_reports <= _MAX_REPORTS:
                last = " (further damage in this shard is not listed)" if shard.num_reports == _MAX_REPORTS else ""
                logger.warning("features of item %s are damaged and will be computed again: %s%s", name, error, last)
            return None

    def _report_denied(self, path: Path, error: PermissionError) -> None:
        """Say once for a folder that features of another user cannot be read."""
        if not self._denied:
            logger.warning("features cannot be read, and will be computed again: %s", explain_denied(path, error))
        self._denied.add(path.with_suffix(INDEX_SUFFIX).name)

    def _forget(self, key: bytes) -> None:
        copies = self._copies.get(key)
        if copies:
            self._places[key] = copies.pop()
        else:
            del self._places[key]

    def _touch(self, shard: Shard) -> None:
        """Keep open only the files of the shards that were used last."""
        self._open[shard.index_path.name] = shard
        self._open.move_to_end(shard.index_path.name)
        if len(self._open) > _MAX_OPEN_SHARDS:
            self._open.popitem(last=False)[1].close()

    def _drop(self, shard_name: str) -> None:
        shard = self._shards.pop(shard_name)
        self._open.pop(shard_name, None)
        shard.close()
        lost = [key for key, (place, _) in self._places.items() if place is shard]
        for key, copies in [*self._copies.items()]:
            self._copies[key] = [place for place in copies if place[0] is not shard]
            if not self._copies[key]:
                del self._copies[key]
        for key in lost:
            self._forget(key)


def key_of(name: str) -> bytes:
    """Return the key of an entry in an index: 128 bits of the BLAKE2b hash of its name."""
    return hashlib.blake2b(name.encode(), digest_size=KEY_BYTES).digest()
