"""Features of frozen encoders on disk, so that each media item is encoded once.

A cache is a folder with one folder for each encoder and number format, `FINGERPRINT-DTYPE`, each with *shards*: a file
of features, `NAME.data`, which readers map into memory, and its index, `NAME.index`, of records of one size. Both only
grow. Every process writes shards of its own and reads all:

- A record follows its data, and both carry a checksum: killed at any byte, a writer leaves whole entries and a tail
  that nobody reads and the next writer cuts off. After a power cut, what did not reach the disk fails its checksum.
- A writer holds a lock on its shard; the system frees it when the process ends, however it ends. A later writer goes on
  with a shard that is free and not full, so many short runs do not leave many small files.
- Readers look for other processes' new records when they miss something.
- Over the size limit, the shards that were not used for the longest time are deleted whole; never one being written.

record.py is the index's format, shard.py reads, writer.py writes, store.py is one encoder's folder, retention.py the
size limit, cache.py what models use.
"""

from omni.feature_cache.cache import DTYPES, FeatureCache, default_directory

__all__ = ["DTYPES", "FeatureCache", "default_directory"]
