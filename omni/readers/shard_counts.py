"""The number of samples in each tar shard: given by the user, or counted once and remembered."""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from omni.readers.shard_names import is_command
from omni.readers.tar_shard import count_samples
from omni.runtime.files import write_atomically
from omni.starter import home

_COUNTERS = 8  # shards counted at once; it helps where reading waits for a network
_COUNTS_FILE = "shard-counts.json"


def shard_sizes_of(shards: Sequence[str], given: int | Sequence[int] | str | None) -> list[int]:
    """Return the number of samples of each shard.

    `given` is one number for all shards, a list, a JSON file of shard (its path or file name) -> number, or None to
    count them. Counts of files are remembered until a file's size or modification time changes.

    Raises:
        FileNotFoundError, ValueError: `given` does not fit the shards.
    """
    if given is None:
        return _count(shards)
    if isinstance(given, str):
        given = _read_sizes(Path(given), shards)
    sizes = [given] * len(shards) if isinstance(given, int) else list(given)
    if len(sizes) != len(shards):
        raise ValueError(f"option shard_sizes has {len(sizes)} numbers for {len(shards)} shards; give one for each")
    for shard, size in zip(shards, sizes, strict=True):
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"option shard_sizes: {size!r} of {shard} must be a whole number from 0 on")
    return sizes


def _read_sizes(file: Path, shards: Sequence[str]) -> list[int]:
    if not file.is_file():
        raise FileNotFoundError(f"option shard_sizes: there is no file {file} (seen from {Path.cwd()})")
    try:
        sizes = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"option shard_sizes: {file} is not valid JSON ({error})") from error
    if not isinstance(sizes, Mapping):
        raise ValueError(f"option shard_sizes: {file} must be an object of shard -> number of samples")
    found = [sizes.get(shard, sizes.get(os.path.basename(shard))) for shard in shards]
    missing = [shard for shard, size in zip(shards, found, strict=True) if size is None]
    if missing:
        raise ValueError(f"option shard_sizes: {file} does not name {missing[0]} ({len(missing)} of {len(shards)})")
    return [size for size in found if size is not None]


def _count(shards: Sequence[str]) -> list[int]:
    sizes = _count_files([shard for shard in shards if not is_command(shard)])
    sizes |= _count_all([shard for shard in shards if is_command(shard)])
    return [sizes[shard] for shard in shards]


def _count_files(files: Sequence[str]) -> dict[str, int]:
    """Count files, once for all processes of a machine: the others wait for the one that counts."""
    if not files:
        return {}
    remembered_in = home() / _COUNTS_FILE
    remembered_in.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{remembered_in}.lock"):
        remembered = _remembered(remembered_in)
        keys = {file: _key(file) for file in files}
        counted = _count_all([file for file in files if keys[file] not in remembered])
        if counted:
            new = {keys[file]: size for file, size in counted.items()}
            write_atomically(remembered_in, json.dumps(remembered | new, indent=0))
    return {file: counted[file] if file in counted else remembered[keys[file]] for file in files}


def _count_all(shards: Sequence[str]) -> dict[str, int]:
    with ThreadPoolExecutor(_COUNTERS) as pool:
        counted = pool.map(count_samples, shards)
        shown = tqdm(counted, "counting samples", len(shards), unit=" shards", delay=2, disable=None)
        return dict(zip(shards, shown, strict=True))


def _key(file: str) -> str:
    """Return path, size and modification time. A command's output has none, so its count is never remembered."""
    status = os.stat(file)
    return f"{os.path.abspath(file)} {status.st_size} {status.st_mtime_ns}"


def _remembered(file: Path) -> dict[str, int]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # nothing yet, or damaged: counted again
