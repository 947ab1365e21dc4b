"""Opening a table of the `datasets` library, undecoded, with the folder that its relative paths start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni.samples.media_keys import MEDIA_KEYS

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True)
class OpenedTable:
    """A table and where it came from."""

    table: Dataset
    folder: Path | None  # None for the hub, and for tables in memory
    is_of_hub: bool


def open_table(source: str | Path | Dataset | DatasetDict, split: str, config: str | None) -> OpenedTable:
    """Open a table; its rows come as Arrow's, so that pictures, sounds and videos are bytes or paths at any depth.

    Decoding them is the loaders' task, the same for all readers.

    Raises:
        ValueError: it cannot be opened, has no such split, or makes its rows by a function of its own.
    """
    # Imported here because it takes more than a second, which users of other readers should not wait for.
    import datasets

    loaded: Any = source
    if isinstance(source, str | Path):
        try:
            loaded = _load(str(source), split, config)
        except Exception as error:  # dozens of error types, from the network to the file formats
            hint = "check the name, the split and, for the hub, the network"
            raise ValueError(f"cannot open the data set {str(source)!r}, split {split!r}: {error}; {hint}") from error
    if isinstance(loaded, datasets.DatasetDict):
        if split not in loaded:
            raise ValueError(f"the data set has no split {split!r}; it has {', '.join(map(str, loaded))}")
        loaded = loaded[split]
    if not isinstance(loaded, datasets.Dataset):
        kind = type(loaded).__name__
        raise ValueError(
            f"expected a data set with random access (datasets.Dataset), got {kind}; open it without streaming"
        )
    if loaded.format["type"] == "custom":
        raise ValueError(
            "the data set makes its rows by a function of its own (set_transform), which is not seen here; save what "
            "it gives with map(), or call reset_format() first"
        )
    path = Path(source).absolute() if isinstance(source, str | Path) and Path(source).exists() else None
    folder = None if path is None else path if path.is_dir() else path.parent
    return OpenedTable(loaded.with_format("arrow"), folder, path is None and isinstance(source, str | Path))


def media_columns(table: Dataset, messages: str | None) -> dict[str, str]:
    """Return column -> modality of the columns that hold media, by their types or else by their names."""
    import datasets

    by_type = {datasets.Image: "image", datasets.Audio: "sound", datasets.Video: "video"}
    media = {}
    for column, feature in table.features.items():
        while isinstance(feature, datasets.List | datasets.LargeList):
            feature = feature.feature
        kind = next((modality for kind, modality in by_type.items() if isinstance(feature, kind)), None)
        if kind is not None:
            media[column] = MEDIA_KEYS.get(column.lower(), kind)
        elif column != messages and (named := MEDIA_KEYS.get(column.lower())) and not _is_words(feature, named):
            media[column] = named
    return media


def label_names(table: Dataset, column: str) -> list[str] | None:
    """Return the names of a column of class labels, or of lists of these; None for other columns."""
    import datasets

    feature = table.features[column]
    while isinstance(feature, datasets.List | datasets.LargeList):
        feature = feature.feature
    return feature.names if isinstance(feature, datasets.ClassLabel) else None


def is_pairs_column(table: Dataset, column: str) -> bool:
    """Return whether a column holds the Cauldron's conversations: lists of `user` and `assistant`."""
    import datasets

    feature = table.features.get(column)
    while isinstance(feature, datasets.List | datasets.LargeList):
        feature = feature.feature
    return isinstance(feature, Mapping) and {"user", "assistant"} <= feature.keys()


def _is_words(feature: Any, modality: str) -> bool:
    """Return whether a column with a modality's name holds plain numbers or labels, which are words about the row."""
    import datasets

    is_number = isinstance(feature, datasets.Value) and feature.dtype not in ("string", "large_string", "binary")
    return isinstance(feature, datasets.ClassLabel) or (is_number and modality not in ("sound", "speech", "imu"))


def _load(source: str, split: str, config: str | None) -> Any:
    import datasets

    if Path(source, "dataset_dict.json").is_file() or Path(source, "state.json").is_file():
        return datasets.load_from_disk(source)
    suffix = Path(source).suffix.lower()
    if suffix in (".parquet", ".arrow") and Path(source).is_file():
        # Always called train by the builder: one file has one split.
        return datasets.load_dataset(suffix[1:], data_files=os.path.abspath(source), split="train")
    return datasets.load_dataset(source, config, split=split)
