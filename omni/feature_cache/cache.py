"""The cache as models use it: features by the content of the media item and the fingerprint of the encoder.

Shapes: C clips of one item, N features of a clip, D feature width.
"""

import logging
from pathlib import Path

import torch

from omni.encoders.base import Features
from omni.encoders.fingerprint import accepted, tensor_bytes
from omni.encoders.weights import DTYPES
from omni.feature_cache.record import ALIGNMENT, RECORD_BYTES
from omni.feature_cache.retention import list_shards, prune
from omni.feature_cache.sharing import explain_denied
from omni.feature_cache.store import FeatureStore

logger = logging.getLogger("omni.feature_cache")

_SHARD_BYTES = 256 * 2**20
_SHARDS_OF_A_LIMITED_CACHE = 16  # so that going over the limit costs a sixteenth of what is there
_FINGERPRINT_DIGITS = 32  # digits, of 64, in names of folders


class FeatureCache:
    """A folder of features.

    One object is for one thread; any number of processes may share the folder, and a forked process may go on using the
    object. Features are written under the fingerprint of their encoder, and read under an earlier one of it as well.

    dtype: number format in which values are kept and given back. "float32" gives the very bits that the encoder gave;
        "float16" and "bfloat16" take half the space.
    max_bytes: size limit of the folder; None = no limit. When the folder would grow over it, the shards that were not
        used for the longest time are deleted, except those that a process is writing to. Features that find no room are
        not kept, which is logged once. What other processes write is counted now and then, so together they may go over
        the limit by a sixteenth each.
    shard_bytes: size at which a new shard begins; default 256 MiB, or a sixteenth of the limit if that is less.
    """

    def __init__(
        self,
        directory: str | Path,
        dtype: str = "float32",
        *,
        max_bytes: int | None = None,
        shard_bytes: int | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype of the feature cache is {dtype!r}; allowed: {', '.join(DTYPES)}")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes of the feature cache is {max_bytes}, but must be at least 1, or None")
        self.directory = Path(directory)
        self.dtype = dtype
        self.max_bytes = max_bytes
        limited = _SHARD_BYTES if max_bytes is None else min(_SHARD_BYTES, max_bytes // _SHARDS_OF_A_LIMITED_CACHE)
        self.shard_bytes = max(1, limited if shard_bytes is None else shard_bytes)
        self.keeps_all = True  # False once features of its encoders found no room or had to make room
        self.write_error = ""  # why nothing is written any more; "" = it is
        self._has_refused = False
        self._stores: dict[str, FeatureStore] = {}
        self._total_bytes: int | None = None  # of the folder, as far as known
        self._unseen_bytes = 0  # written by this process since it last looked at the whole folder

    def get(self, media_hash: str, fingerprint: str) -> Features | None:
        """Read the features [C, N, D], [C, N] of an item; None if they are missing, or damaged (logged once)."""
        entries = (self._store(name).get(media_hash) for name in accepted(fingerprint))
        found = next((entry for entry in entries if entry is not None), None)
        if found is None:
            return None
        record, values, mask = found
        shape = (record.num_clips, record.num_features)
        return Features(
            torch.frombuffer(values, dtype=DTYPES[self.dtype]).reshape(*shape, record.dim)
            if values
            else torch.empty(*shape, record.dim, dtype=DTYPES[self.dtype]),
            torch.frombuffer(mask, dtype=torch.bool).reshape(shape) if mask else torch.empty(shape, dtype=torch.bool),
        )

    def contains(self, media_hash: str, fingerprint: str) -> bool:
        """Return whether `get` would probably find the item; the data are not looked at."""
        return any(media_hash in self._store(name) for name in accepted(fingerprint))

    def put(self, media_hash: str, fingerprint: str, features: Features) -> Features:
        """Keep the features [C, N, D], [C, N] of an item if they are not there yet; return them as `get` will.

        A full or read-only disk is logged once; nothing is written after that, and nothing fails.

        Raises:
            ValueError: values do not fit into the cache's dtype.
        """
        rounded = self.rounded(features)
        if self.write_error or self._store(fingerprint).get(media_hash) is not None:
            return rounded
        values = rounded.values.detach().cpu().contiguous()
        mask = rounded.mask.detach().cpu().contiguous()
        if not self._make_room(values.nbytes + mask.nbytes + ALIGNMENT + 2 * RECORD_BYTES):  # perhaps a seal too
            return rounded
        clips, positions, dim = values.shape
        try:
            grown = self._store(fingerprint).append(
                media_hash, tensor_bytes(values), tensor_bytes(mask), (clips, positions, dim)
            )
        except OSError as error:
            denied = isinstance(error, PermissionError) and error.filename
            self.write_error = explain_denied(Path(error.filename), error) if denied else str(error)
            self.keeps_all = False
            logger.warning("features are no longer cached: %s", self.write_error)
        else:
            self._unseen_bytes += grown
        return rounded

    def name_encoder(self, fingerprint: str, name: str) -> None:
        """Say what people call an encoder, for `python -m omni cache --stats`."""
        self._store(fingerprint).name_encoder(name)

    def rounded(self, features: Features) -> Features:
        """Return the features in the cache's number format.

        Raises:
            ValueError: finite values would become infinite.
        """
        values = features.values.to(DTYPES[self.dtype])
        if self.dtype == "float16" and torch.isinf(values).any() and not torch.isinf(features.values).any():
            largest = features.values.abs().max().item()
            raise ValueError(f"features as large as {largest:.3g} do not fit into float16: use bfloat16 for the cache")
        return Features(values, features.mask)

    def close(self) -> None:
        """Close all files and free this process's shard for other writers; the cache may still be used after that."""
        for store in self._stores.values():
            store.close()

    def _store(self, fingerprint: str) -> FeatureStore:
        store = self._stores.get(fingerprint)
        if store is None:
            folder = self.directory / folder_name(fingerprint, self.dtype)
            store = FeatureStore(folder, DTYPES[self.dtype].itemsize, self.shard_bytes)
            self._stores[fingerprint] = store
        return store

    def _make_room(self, num_bytes: int) -> bool:
        """Make room for `num_bytes` within `max_bytes`; return False if that is not possible."""
        if self.max_bytes is None:
            return True
        if self._total_bytes is None or self._unseen_bytes > self.max_bytes // _SHARDS_OF_A_LIMITED_CACHE:
            self._look_at_folder()
        assert self._total_bytes is not None
        if self._total_bytes + self._unseen_bytes + num_bytes > self.max_bytes >= num_bytes:
            self._prune(self.max_bytes - num_bytes)
        if self._total_bytes + self._unseen_bytes + num_bytes <= self.max_bytes:
            return True
        if not self._has_refused:
            logger.warning(
                "features of %.3g MB find no room in %s: the limit is %.3g MB, and %.3g MB are in shards that are "
                "being written. Such items are encoded each time",
                *(num_bytes / 1e6, self.directory, self.max_bytes / 1e6, self._total_bytes / 1e6),
            )
        self._has_refused, self.keeps_all = True, False
        return False

    def _prune(self, max_bytes: int) -> None:
        try:
            pruned = prune(self.directory, max_bytes)
        except OSError as error:
            logger.warning("the feature cache in %s cannot be made smaller: %s", self.directory, error)
        else:
            own = {folder_name(fingerprint, self.dtype) for fingerprint in self._stores}
            self.keeps_all = self.keeps_all and not pruned.folders & own
        self._look_at_folder()

    def _look_at_folder(self) -> None:
        self._total_bytes = sum(shard.num_bytes for shard in list_shards(self.directory))
        self._unseen_bytes = 0


def folder_name(fingerprint: str, dtype: str) -> str:
    """Return the name of the folder of one encoder in one number format."""
    return f"{fingerprint[:_FINGERPRINT_DIGITS]}-{dtype}"
