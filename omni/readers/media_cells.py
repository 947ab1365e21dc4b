"""The cells of a table's row that hold its media, by the names of their columns and by what stands in them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from omni.readers.columns import FILE_COLUMNS
from omni.readers.modality_of_file import is_media
from omni.samples.media_keys import MEDIA_KEYS

LONGEST_NAME = 1000  # characters; a longer cell is a picture in base64

# Columns of any file: where a table has two of them, they are often two names of one file.
_OF_ANY_FILE = ("file_name", "file", "path", "filename", "filepath", "file_path")
_NUMBERED = re.compile(rf"(?:{'|'.join(FILE_COLUMNS)})_?\d+")  # image_2, image2, audio_path_1
_KINDS = {"image": "image", "img": "image", "sound": "sound", "audio": "sound", "video": "video"}
_CHOOSE = "name the only column of files with the option `file`"


@dataclass(frozen=True)
class MediaCell:
    """One medium of a row: the name of its column, and a file's path or the file itself in base64."""

    column: str
    value: str

    @property
    def is_path(self) -> bool:
        """Whether the cell is a path; otherwise it holds the file itself."""
        return len(self.value) < LONGEST_NAME and not self.value.startswith("data:")

    @property
    def modality(self) -> str | None:
        """The modality that the name of the column says where the extension cannot: `speech`, `depth`, `imu`, ..."""
        is_of_files = self.column in FILE_COLUMNS or _NUMBERED.fullmatch(self.column) is not None
        named = None if is_of_files else MEDIA_KEYS.get(self.column)
        return None if named in ("image", "sound", "video") else named


def find_file_column(names: Sequence[str]) -> str | None:
    """Return the column of files by the names that are in use, or None."""
    known = next((name for name in FILE_COLUMNS if name in names), None)
    return known or next((name for name in names if _NUMBERED.fullmatch(name)), None)


def media_cells(file: str, cells: Sequence[tuple[str, Any]], *, is_only: bool) -> list[MediaCell]:
    """Return the media of a row in the order of its columns; two names of the same file are one medium.

    Args:
        file: the column of files.
        cells: name and content of each column but those of texts; one name may stand several times.
        is_only: whether no other column holds media.

    Raises:
        ValueError: a column of media holds something else, or it is not clear whether two columns name the same file.
    """
    chosen = [MediaCell(name, value.strip()) for name, value in cells if name == file and _is_text(value)]
    found: dict[int, MediaCell] = {}
    for index, (name, value) in enumerate(cells):
        if name == file:
            if _is_text(value):
                found[index] = MediaCell(name, value.strip())
        elif not is_only and (cell := _further(name, value)) is not None and not _is_one_of(cell, chosen):
            found[index] = cell
            chosen.append(cell)
    return [*found.values()]


def _further(column: str, value: Any) -> MediaCell | None:
    """Return the medium in a column besides that of files, or None if it holds nothing or words about the row."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if (column in FILE_COLUMNS and column not in _OF_ANY_FILE) or _NUMBERED.fullmatch(column):
        if not isinstance(value, str):
            raise ValueError(f"the column {column} does not hold one file; {_CHOOSE}, or write a manifest")
        return MediaCell(column, value.strip())
    if not isinstance(value, str) or not (column in FILE_COLUMNS or column in MEDIA_KEYS):
        return None
    cell = MediaCell(column, value.strip())
    return cell if not cell.is_path or is_media(os.path.splitext(cell.value)[1].lower(), None) else None


def _is_one_of(cell: MediaCell, others: Sequence[MediaCell]) -> bool:
    """Return whether a cell is another name of a medium, as `a.png` is of `images/a.png` and a path of base64."""
    for other in others:
        if cell.is_path and other.is_path:
            if _is_end_of(cell.value, other.value) or _is_end_of(other.value, cell.value):
                return not _counts(cell, other)
            if {cell.column, other.column} <= {*_OF_ANY_FILE}:
                raise ValueError(
                    f"the columns {other.column} and {cell.column} name two files, {other.value} and {cell.value}; "
                    f"{_CHOOSE}"
                )
        elif cell.is_path != other.is_path and not _counts(cell, other):
            if _kind(cell.column) == _kind(other.column):
                return True
            if other.column in _OF_ANY_FILE or cell.column in _OF_ANY_FILE:
                raise ValueError(
                    f"of the columns {other.column} and {cell.column}, one holds a path, one the file itself; {_CHOOSE}"
                )
    return False


def _counts(cell: MediaCell, other: MediaCell) -> bool:
    """Return whether the columns only count media, as image_1 and image_2: the same picture twice is then two."""
    return any(_NUMBERED.fullmatch(column) for column in (cell.column, other.column))


def _kind(column: str) -> str:
    return _KINDS.get(column.partition("_")[0], column)


def _is_end_of(short: str, long: str) -> bool:
    end, whole = (PurePosixPath(name.replace("\\", "/")).parts for name in (short, long))
    return bool(end) and whole[-len(end) :] == end


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
