"""Layouts of the tables that hubs mirror: a folder of parquet or Arrow files with columns."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, overload

from eval.data.benchmark import Hub, Layout, Record, Row
from eval.data.files import Files

if TYPE_CHECKING:
    from datasets import Dataset


class ReadRecords(Sequence[Record], ABC):
    """Records that are read when they are asked for, one by one, so that their pictures do not fill the memory."""

    @abstractmethod
    def at(self, index: int) -> Record:
        """Return the record at an index from 0 on, below the number of records."""

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.at(index % len(self))

    def place(self, index: int) -> str:
        """Return where the record at an index from 0 on stands, as people look it up."""
        return f"row {index + 1}"


class TableRecords(ReadRecords):
    """The rows of a table, read when asked for; the number of a class (ClassLabel) is its name.

    Attributes:
        class_names: column -> the names of its classes in their order.
    """

    def __init__(self, table: "Dataset", columns: Sequence[str], place: str, classes: str | None = None) -> None:
        """Check that the table has these columns.

        Args:
            table: undecoded.
            columns: those that must be there.
            place: what messages call it.
            classes: the column of classes, whose names every record then has as a list under `classes`.

        Raises:
            ValueError: it has no such column.
        """
        self._table = table
        missing = [column for column in columns if column not in table.column_names]
        if missing:
            found = ", ".join(map(str, table.column_names))
            raise ValueError(f"{place} has no column {missing[0]!r}; found {found}")
        from omni.readers.huggingface_table import label_names  # late: readers of all kinds take a second

        names = {column: label_names(table, column) for column in table.column_names}
        self.class_names = {column: found for column, found in names.items() if found}
        self._classes = None if classes is None else self.class_names.get(classes) or sorted(self._distinct(classes))

    def _distinct(self, column: str) -> set[str]:
        return {str(value) for value in self._table.unique(column) if value is not None}

    def __len__(self) -> int:
        return len(self._table)

    def at(self, index: int) -> Record:
        """See `ReadRecords`."""
        columns: Any = self._table[index : index + 1]
        row: dict[str, Any] = {name: values[0] for name, values in columns.to_pydict().items()}
        for column, names in self.class_names.items():
            if isinstance(row[column], int) and 0 <= row[column] < len(names):
                row[column] = names[row[column]]
        return row if self._classes is None else {**row, "classes": self._classes}

    def column(self, name: str) -> list[Any]:
        """Return one column of all rows, without reading the others."""
        return self._table.select_columns([name]).with_format(None)[name][:]


class HubRecords(TableRecords):
    """The rows of a mirror's split."""

    def __init__(self, files: Files, hub: Hub, columns: Sequence[str], classes: str | None = None) -> None:
        """Open the table; see `TableRecords`.

        Raises:
            ValueError: it cannot be opened, or has no such column.
        """
        from omni.readers.huggingface_table import open_table

        # A folder of the whole mirror, or the configuration's own folder in it.
        table = open_table(files.folder, hub.split, hub.config).table
        super().__init__(table, columns, f"{files.folder}, split {hub.split!r},", classes)


class ParquetRecords(ReadRecords):
    """The rows of several parquet files, one after the other, whatever else lies in their folders."""

    def __init__(self, files: Files, pattern: str, columns: Sequence[str]) -> None:
        """Open the files whose paths end with `pattern`, in the order of their paths.

        Raises:
            ValueError: one cannot be opened, or has no such column.
        """
        self._paths = paths = files.matching(pattern)
        from omni.readers.huggingface_table import open_table

        self.tables = [TableRecords(open_table(path, "train", None).table, columns, str(path)) for path in paths]
        self._starts = [0, *accumulate(map(len, self.tables))]

    def __len__(self) -> int:
        return self._starts[-1]

    def at(self, index: int) -> Record:
        """See `ReadRecords`."""
        number, row = self._table_and_row(index)
        return self.tables[number][row]

    def place(self, index: int) -> str:
        """See `ReadRecords`."""
        number, row = self._table_and_row(index)
        return f"row {row + 1} of {self._paths[number].name}"

    def folders(self) -> list[str]:
        """Return for each row the name of the folder that its file lies in."""
        lengths = zip(self._paths, map(len, self.tables), strict=True)
        return [path.parent.name for path, length in lengths for _ in range(length)]

    def _table_and_row(self, index: int) -> tuple[int, int]:
        number = bisect_right(self._starts, index) - 1
        return number, index - self._starts[number]

    def column(self, name: str) -> list[Any]:
        """Return one column of all rows, without reading the others."""
        return [value for table in self.tables for value in table.column(name)]


class ChosenRecords(ReadRecords):
    """Some rows of a table, each with further values; read when asked for, so that pictures do not fill the memory."""

    def __init__(self, records: ReadRecords, chosen: Sequence[tuple[int, Record]]) -> None:
        """Take rows by their index, each with what is added to it."""
        self._records = records
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def at(self, index: int) -> Record:
        """See `ReadRecords`."""
        number, further = self._chosen[index]
        return {**self._records[number], **further}

    def place(self, index: int) -> str:
        """See `ReadRecords`."""
        return self._records.place(self._chosen[index][0])


def parquet_layout(hub: Hub, pattern: str, columns: Sequence[str], row: Callable[[Record, Files], Row]) -> Layout:
    """Return the layout of the parquet files of a mirror whose paths end with `pattern`; else as `hub_layout`.

    For mirrors with several configurations: their files are told apart by their names or folders, so that a copy
    without the hub's own description of them can be read.
    """
    return Layout("mirrored table", (pattern,), lambda files: ParquetRecords(files, pattern, columns), row, hub)


def table_layouts(
    hub: Hub, columns: Sequence[str], row: Callable[[Record, Files], Row], pattern: str | None = None
) -> tuple[Layout, Layout]:
    """Return both layouts of a mirror: its parquet files, found by their names, and whatever `datasets` opens.

    `pattern` is that of the files; by default they begin with the name of the split, as the hub's own do.
    """
    whole = hub_layout(hub, columns, row)
    return parquet_layout(hub, pattern or f"{hub.split}-*.parquet", columns, row), replace(
        whole, name="datasets folder"
    )


def hub_layout(
    hub: Hub, columns: Sequence[str], row: Callable[[Record, Files], Row], *, classes: str | None = None
) -> Layout:
    """Return the layout of a mirrored table with these columns (others may be there).

    `row` takes a record whose pictures and sounds are `{"bytes": ..., "path": ...}`; `part_of` makes parts of them.
    `classes`: see `TableRecords`.
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
