"""Manifests: samples written back as JSON lines."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from omni.runtime.files import write_atomically
from omni.samples.messages import Media, Sample, Text


def write_manifest(path: str | Path, samples: Iterable[Sample]) -> int:
    """Write samples as JSON lines that `read_jsonl` reads to equal samples, and return how many there are.

    Raises:
        ValueError: a sample holds an array, a picture or bytes instead of naming a file.
    """
    lines = [json.dumps(sample_to_row(sample), ensure_ascii=False) + "\n" for sample in samples]
    write_atomically(Path(path), "".join(lines))
    return len(lines)


def sample_to_row(sample: Sample) -> dict[str, Any]:
    """Return the JSON object of a sample whose media are files. Raises ValueError if they are not."""
    messages = [
        {"role": message.role, "content": [_part_to_row(part, sample.id) for part in message.content]}
        for message in sample.messages
    ]
    return {"id": sample.id, "messages": messages, **({"meta": sample.meta} if sample.meta else {})}


def _part_to_row(part: Text | Media, sample_id: str) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.data is not None or isinstance(part.features, np.ndarray):
        raise ValueError(f"sample {sample_id!r}: {part.describe()} is not a file, so a manifest cannot name it")
    details = {"path": part.path, "features": part.features, "row": part.row, "options": part.options or None}
    details["sampling_rate"] = part.sampling_rate
    return {"type": part.modality, **{key: value for key, value in details.items() if value is not None}}
