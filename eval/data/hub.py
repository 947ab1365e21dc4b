"""Layouts of the tables that hubs mirror: a folder of parquet or Arrow files with columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

from eval.data.benchmark import Hub, Layout, Record, Row
from eval.data.files import Files
from omni.readers.huggingface_table import label_names, open_table


class HubRecords(Sequence[Record]):
    """The rows of a table, read when asked for; the number of a class (ClassLabel) is its name."""

    def __init__(self, files: Files, hub: Hub, columns: Sequence[str], classes: str | None = None) -> None:
        """Open the table.

        Args:
            files: of the folder that holds it.
            hub: which split it is.
            columns: those that must be there.
            classes: the column of classes, whose names every record then has as a list under `classes`.

        Raises:
            ValueError: it cannot be opened, or has no such column.
        """
        # A folder of the whole mirror, or the configuration's own folder in it.
        self._table = open_table(files.folder, hub.split, hub.config).table
        missing = [column for column in columns if column not in self._table.column_names]
        if missing:
            found = ", ".join(map(str, self._table.column_names))
            raise ValueError(f"{files.folder}, split {hub.split!r}, has no column {missing[0]!r}; found {found}")
        names = {column: label_names(self._table, column) for column in self._table.column_names}
        self._names = {column: found for column, found in names.items() if found}
        self._classes = None if classes is None else self._names.get(classes) or sorted(self._distinct(classes))

    def _distinct(self, column: str) -> set[str]:
        return {str(value) for value in self._table.unique(column) if value is not None}

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        columns: Any = self._table[index : index + 1]
        row: dict[str, Any] = {name: values[0] for name, values in columns.to_pydict().items()}
        for column, names in self._names.items():
            if isinstance(row[column], int) and 0 <= row[column] < len(names):
                row[column] = names[row[column]]
        return row if self._classes is None else {**row, "classes": self._classes}

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))


def hub_layout(
    hub: Hub, columns: Sequence[str], row: Callable[[Record, Files], Row], *, classes: str | None = None
) -> Layout:
    """Return the layout of a mirrored table with these columns (others may be there).

    `row` takes a record whose pictures and sounds are `{"bytes": ..., "path": ...}`; `part_of` makes parts of them.
    `classes`: see `HubRecords`.
    """

    def read(files: Files) -> HubRecords:
        return HubRecords(files, hub, columns, classes)

    return Layout("mirrored table", (("*.parquet", "*.arrow"),), read, row, hub)


def part_of(modality: str, value: Any, files: Files) -> dict[str, Any]:
    """Return the part of a message for a cell of a table: bytes, a path below the folder, or both.

    Raises:
        ValueError: the cell is empty, or the file is not there.
    """
    if isinstance(value, str):
        return {"type": modality, "path": str(files.find(value))}
    if isinstance(value, bytes):
        return {"type": modality, "bytes": value}
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes) and value["bytes"]:
        return {"type": modality, "bytes": value["bytes"]}
    if isinstance(value, Mapping) and isinstance(value.get("path"), str) and value["path"]:
        return {"type": modality, "path": str(files.find(value["path"].replace("\\", "/")))}
    raise ValueError(f"has no {modality}: its cell is empty")
