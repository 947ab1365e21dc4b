"""Keep features of frozen encoders on disk, so that each media item is encoded once.

A cache is a folder with one folder for each encoder and number format, `FINGERPRINT-DTYPE`, each with *shards*: a file
of features, `NAME.data`, which readers map into memory, and its index, `NAME.index`, of records of one size. Both only
grow. Every process writes shards of its own and reads all:

- A record follows its data, and both carry a checksum. A writer that is killed at any byte leaves whole entries and a
  tail that nobody reads and that the next writer cuts off. After a power cut, data that did not reach the disk fail
  their checksum.
- A writer holds a lock on its shard; the system frees it when the process ends, however it ends. A later writer
  continues a shard that is free and not full, so many short runs do not leave many small files.
- Readers look for new records of other processes when they miss something.
- Over the size limit, whole shards that were not used for the longest time are deleted, but never one being written.

record.py is the index's format, shard.py reads, writer.py writes, store.py is one encoder's folder, retention.py keeps
the size limit, cache.py is what models use, encoding.py encodes through it, location.py says where it is by default.
"""

from omni.feature_cache.cache import FeatureCache
from omni.feature_cache.location import default_directory

__all__ = ["FeatureCache", "default_directory"]
