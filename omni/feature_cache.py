"""Features of frozen encoders on disk, so that each media item is encoded once.

One file per item, `DIR/FINGERPRINT-DTYPE/FIRST TWO DIGITS OF HASH/HASH.safetensors`, with a checksum in its header.
Files are written beside their place and renamed, so any number of processes may share a cache.
Shapes: C clips of one item, N features of a clip, D feature width.
"""

import logging
import os
import tempfile
import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from omni.encoders.base import Features, tensor_bytes

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class FeatureCache:
    """A folder of features by content of the media item and fingerprint of the encoder.

    dtype: how values are kept and given back. "float32" gives the very bits that the encoder gave; "float16" and
        "bfloat16" take half the space.
    """

    def __init__(self, directory: str | Path, dtype: str = "float32") -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype of the feature cache is {dtype!r}; allowed: {', '.join(DTYPES)}")
        self.directory = Path(directory)
        self.dtype = dtype
        self._full = False

    def get(self, media_hash: str, fingerprint: str) -> Features | None:
        """Features [C, N, D], [C, N] of an item, or None if they are not there (or damaged, which is logged)."""
        path = self._path(media_hash, fingerprint)
        try:
            with safe_open(path, framework="pt") as file:
                values, mask = file.get_tensor("values"), file.get_tensor("mask")
                checksum = (file.metadata() or {}).get("checksum")
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            logger.warning("%s is damaged (%s): its item will be encoded again", path, error)
            return None
        if checksum != _checksum(values, mask):
            logger.warning("%s is damaged (wrong checksum): its item will be encoded again", path)
            return None
        return Features(values, mask)

    def put(self, media_hash: str, fingerprint: str, features: Features) -> None:
        """Keep the features [C, N, D], [C, N] of an item. A full disk is logged once and stops the writing, no more.

        Raises ValueError if values do not fit into the cache's dtype.
        """
        if self._full:
            return
        values = features.values.detach().to("cpu", DTYPES[self.dtype]).contiguous()
        mask = features.mask.detach().cpu().contiguous()
        if self.dtype == "float16" and torch.isinf(values).any() and not torch.isinf(features.values).any():
            largest = features.values.abs().max().item()
            raise ValueError(f"features as large as {largest:.3g} do not fit into float16: use bfloat16 for the cache")
        content = save({"values": values, "mask": mask}, metadata={"checksum": _checksum(values, mask)})
        try:
            _write(self._path(media_hash, fingerprint), content)
        except OSError as error:
            self._full = True
            logger.warning("features are no longer cached: %s", error)

    def _path(self, media_hash: str, fingerprint: str) -> Path:
        return self.directory / f"{fingerprint[:32]}-{self.dtype}" / media_hash[:2] / f"{media_hash}.safetensors"


def _write(path: Path, content: bytes) -> None:
    # Not flushed to the disk file by file: what a crash leaves half-written fails its checksum and is encoded again.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _checksum(values: Tensor, mask: Tensor) -> str:
    checksum = 0
    for tensor in (values, mask):
        checksum = zlib.crc32(f"{tensor.dtype} {list(tensor.shape)}".encode(), checksum)
        checksum = zlib.crc32(tensor_bytes(tensor), checksum)
    return f"{checksum:08x}"
