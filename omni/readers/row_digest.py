"""What rows say, as a hash, by which a run that goes on notices that its data have changed; media are not read."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omni.media.item import Media
from omni.samples.sample import Sample, SampleError


def hash_of(parts: Iterable[bytes]) -> str:
    """Return 64 hex digits that change with any of `parts`, their number or their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def bytes_of_row(row: Any) -> bytes:
    """Return what a row as it was read from JSON says."""
    return json.dumps(row, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")


def bytes_of_sample(sample: Sample | SampleError) -> bytes:
    """Return what a sample says: its id, its texts, and the names of its files without their folders."""
    if isinstance(sample, SampleError):
        return bytes_of_row(["error", sample.sample_id])
    turns = [[turn.role, [_part(part) for part in turn.content]] for turn in sample.messages]
    preference = {key: sample.meta[key] for key in ("chosen", "rejected") if key in sample.meta}
    return bytes_of_row([sample.id, turns, preference])


def evenly_spread(rows: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of `rows`, from the first on."""
    step = max(1.0, len(rows) / most)
    return [rows[int(index * step)] for index in range(min(len(rows), most))]


def _part(part: Any) -> Any:
    if not isinstance(part, Media):
        return part.text
    named = {"path": _names(part.path), "features": _names(part.features), "row": part.row, "options": part.options}
    if isinstance(part.data, bytes):
        named["data"] = hashlib.sha256(part.data).hexdigest()
    return [part.modality, {key: value for key, value in named.items() if value is not None}]


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return os.path.basename(value)
    if isinstance(value, Sequence) and not isinstance(value, Mapping):
        return [_names(one) for one in value]
    return None
