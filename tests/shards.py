"""Tar shards of the WebDataset format for tests."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import recording


def npy(array: np.ndarray) -> bytes:
    """The bytes of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def write_shard(path: Path, samples: Sequence[tuple[str, Mapping[str, bytes]]], mode: str = "w") -> Path:
    """Write samples, each a key and its members by extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for key, members in samples:
            for extension, content in members.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def messages(answer: str, media: str | None = "npy", modality: str = "image") -> bytes:
    """A `json` member: a question about the member `media`, and its answer."""
    parts: list[dict[str, Any]] = [{"type": modality, "path": media}] if media else []
    turns = [
        {"role": "user", "content": [*parts, {"type": "text", "text": "what is this"}]},
        {"role": "assistant", "content": answer},
    ]
    return json.dumps({"messages": turns}).encode()


def write_shards(folder: Path, sizes: Sequence[int]) -> list[str]:
    """Shards `0.tar`, `1.tar`, ... of recordings with answers; keys are `SHARD-NUMBER`."""
    words = ["frog", "dog", "drum", "bell"]
    shards = []
    for shard, size in enumerate(sizes):
        samples = []
        for number in range(size):
            content = npy(recording(100 * shard + number, length=3 + number % 5))
            answer = f"a {words[(shard + number) % 4]}{' and the bell' * (number % 2)}"
            samples.append((f"{shard}-{number}", {"npy": content, "json": messages(answer)}))
        shards.append(str(write_shard(folder / f"{shard}.tar", samples)))
    return shards
