"""The function that opens any data set, in the format that its source shows."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni.readers.caption_table import read_captions
from omni.readers.captions import TABLE_NAMES
from omni.readers.dataset import SampleDataset
from omni.readers.folder import read_folder
from omni.readers.huggingface import read_datasets
from omni.readers.jsonl import read_json, read_jsonl
from omni.readers.llava import read_llava
from omni.readers.shard_names import is_shard_pattern
from omni.readers.webdataset import read_webdataset
from omni.starter import resolve

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

HUB_SCHEME = "hf:"
READERS: dict[str, Callable[..., SampleDataset]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "llava": read_llava,
    "captions": read_captions,
    "folder": read_folder,
    "datasets": read_datasets,
    "webdataset": read_webdataset,
}
_FORMAT_OF_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "captions",
    ".tsv": "captions",
    ".txt": "captions",
    ".parquet": "datasets",
    ".arrow": "datasets",
}


def open_dataset(
    source: str | Path | list[str] | tuple[str, ...] | Dataset | DatasetDict,
    *,
    format: str | None = None,
    **options: Any,
) -> SampleDataset:
    """Open a data set.

    Args:
        source: a `.jsonl` manifest, a `.json` file (LLaVA or a list of samples), a table of captions (`.csv`, `.tsv`,
            `.txt`), a `.parquet` file, a folder (of files and captions, or of the `datasets` library), `hf:OWNER/NAME`
            for the hub, `starter:NAME/FILE`, tar shards (`train-{000..999}.tar`, `pipe:COMMAND`, or a list of such), or
            an opened data set of the `datasets` library.
        format: one of jsonl, json, llava, captions, folder, datasets, webdataset, if the name does not say it.
        options: arguments of that format's reader, such as `image_folder` for llava or `split` for datasets.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: its format is not known, or an option does not belong to it.
    """
    if not isinstance(source, str | os.PathLike | list | tuple):
        if format not in (None, "datasets"):
            raise ValueError(f"a {type(source).__name__} in memory has no format {format!r}; leave the format out")
        _check_options(f"a {type(source).__name__}", "datasets", options)
        return read_datasets(source, **options)
    if isinstance(source, list | tuple) or format == "webdataset" or is_shard_pattern(str(source)):
        _check_options(str(source), "webdataset", options)
        return read_webdataset(str(source) if isinstance(source, Path) else source, **options)
    text = str(source)
    if text.startswith(HUB_SCHEME):
        format, text = format or "datasets", text.removeprefix(HUB_SCHEME).removeprefix("//")
    else:
        text = resolve(os.path.expanduser(text))
        if not Path(text).exists():
            raise FileNotFoundError(
                f"the data set {text!r} does not exist (seen from {Path.cwd()}); for one on the Hugging Face hub write "
                f"{HUB_SCHEME}OWNER/NAME"
            )
        format = format or _guess_format(Path(text))
    if format not in READERS:
        raise ValueError(f"unknown format {format!r} of the data set {text!r}; allowed are {', '.join(READERS)}")
    _check_options(text, format, options)
    return READERS[format](text, **options)


def _check_options(text: str, format: str, options: Mapping[str, Any]) -> None:
    allowed = list(inspect.signature(READERS[format]).parameters)[1:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"unknown option {', '.join(unknown)} for {text!r}; {format} takes {', '.join(allowed)}")


def _guess_format(path: Path) -> str:
    if path.is_dir():
        is_saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
        has_tables = not is_saved and any(path.rglob("*.parquet"))
        return "datasets" if is_saved or has_tables else "folder"
    suffix = path.suffix.lower()
    if suffix == ".json":
        return "llava" if _first_row_has_conversations(path) else "json"
    if suffix not in _FORMAT_OF_SUFFIX:
        known = ", ".join([*_FORMAT_OF_SUFFIX, ".json"])
        raise ValueError(f"cannot tell the format of {path} by its ending; known are {known}; or say it with `format`")
    if suffix == ".jsonl" and _first_row_has_conversations(path):
        return "llava"
    if path.name.lower() in TABLE_NAMES and suffix == ".jsonl" and not _head_has(path, b'"messages"'):
        return "captions"
    return _FORMAT_OF_SUFFIX[suffix]


def _first_row_has_conversations(path: Path) -> bool:
    """Return whether the keys of the first rows are LLaVA's."""
    return _head_has(path, b'"conversations"') and not _head_has(path, b'"messages"')


def _head_has(path: Path, key: bytes) -> bool:
    """Return whether a file's beginning holds a key; a large file is not parsed twice for that."""
    with open(path, "rb") as file:
        return key in file.read(1 << 16)
