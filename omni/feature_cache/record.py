"""The records of an index: where an entry's features are in the data file, their shape and their checksum.

Shapes: C clips of one item, N features of a clip, D feature width.
"""

import struct
import zlib
from dataclasses import dataclass

KEY_BYTES = 16
ALIGNMENT = 64  # of entries in the data file, in bytes: a cache line, and a multiple of every number format's size

# kind, key, offset in bytes, C, N, D, checksum of the data; then the checksum of all that
_FORMAT = struct.Struct(f"<4s{KEY_BYTES}sQIIII")
_CHECKSUM = struct.Struct("<I")
RECORD_BYTES = _FORMAT.size + _CHECKSUM.size

ENTRY = b"OFe1"
DAMAGED = b"OFd1"  # was an entry, until a reader found its data damaged
SEALED = b"OFs1"  # the last record of a full shard


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an index."""

    kind: bytes
    key: bytes = bytes(KEY_BYTES)
    offset: int = 0  # bytes
    num_clips: int = 0
    num_features: int = 0
    dim: int = 0
    checksum: int = 0  # crc32 of the values [C, N, D], then of the mask [C, N]

    def to_bytes(self) -> bytes:
        """Return `RECORD_BYTES` bytes, the last four of them a checksum."""
        shape = (self.num_clips, self.num_features, self.dim)
        content = _FORMAT.pack(self.kind, self.key, self.offset, *shape, self.checksum)
        return content + _CHECKSUM.pack(zlib.crc32(content))

    def num_values_bytes(self, itemsize: int) -> int:
        """Return the number of bytes of the values [C, N, D]."""
        return self.num_mask_bytes * self.dim * itemsize

    @property
    def num_mask_bytes(self) -> int:
        """Number of bytes of the mask [C, N], one for each feature."""
        return self.num_clips * self.num_features


def read_record(content: bytes) -> Record | None:
    """Read the record from `RECORD_BYTES` bytes; None if they are too few or damaged."""
    if len(content) != RECORD_BYTES:
        return None
    body = content[: _FORMAT.size]
    if _CHECKSUM.unpack_from(content, _FORMAT.size)[0] != zlib.crc32(body):
        return None
    record = Record(*_FORMAT.unpack(body))
    return record if record.kind in (ENTRY, DAMAGED, SEALED) else None


def aligned(offset: int) -> int:
    """Return the next offset at which an entry may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
