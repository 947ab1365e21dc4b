"""Tables of inertial recordings: their columns and units, from CSV, Parquet, NPY and arrays.

Shapes: T samples.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from omni.media.errors import MediaError
from omni.media.npy import read_npy
from omni.media.source import content_of, describe_source, what_it_looks_like
from omni.runtime.extras import import_extra

CHANNELS = ("accelerometer x", "accelerometer y", "accelerometer z", "gyroscope x", "gyroscope y", "gyroscope z")
MOST_ROWS = 4_000_000  # rows of a table: 2.8 hours at 400 Hz, 0.3 GB of memory

_DELIMITERS = (",", ";", "\t")
_LONGEST_LINE = 1 << 16  # characters
_UNIT_SPELLINGS = {
    "m/s2": ("m/s2", "ms-2", "m/s/s", "m/s²"),
    "g": ("g",),
    "mg": ("mg",),
    "rad/s": ("rad/s", "rads-1", "radps", "rps"),
    "deg/s": ("deg/s", "degs-1", "dps", "°/s", "degps"),
    "mdeg/s": ("mdeg/s", "mdps"),
    "s": ("s", "sec", "seconds"),
    "ms": ("ms", "msec", "milliseconds"),
    "us": ("us", "µs", "μs", "usec", "microseconds"),
    "ns": ("ns", "nsec", "nanoseconds"),
}
_UNITS = {spelling: unit for unit, spellings in _UNIT_SPELLINGS.items() for spelling in spellings}
_ACCELEROMETER = re.compile(r"(.*acc.*|a|a[ _].*)")
_GYROSCOPE = re.compile(r"(.*(gyr|angular|rotation ?rate|omega).*|g|w|w[ _].*)")
_TIME = re.compile(r"(t|time|.*timestamp.*|.*time|seconds|sec|elapsed.*)([ _](s|ms|us|ns|sec|seconds|epoch|elapsed))?")


@dataclass(frozen=True)
class Table:
    """`values` float64 `[6, T]` in the order of CHANNELS; `times` float64 `[T]`, strictly rising, or None. Units are
    None where the names do not say them."""

    values: np.ndarray
    times: np.ndarray | None
    acceleration_unit: str | None = None
    rotation_unit: str | None = None
    time_unit: str | None = None


def read_table(source: Any, columns: Sequence[str] | None, time_column: str | None) -> Table:
    """Read a recording.

    `columns` (six, accelerometer first) and `time_column` name columns whose own names do not tell what they are.

    Raises:
        MediaError: it is damaged, no table, too long, has no such columns, or no numbers.
    """
    name = describe_source(source)
    content: Any = content_of(source)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if isinstance(content, np.ndarray):
        return _from_array(content, name)
    if not isinstance(content, str | bytes) or (isinstance(content, str) and Path(content).is_dir()):
        raise MediaError(name, "expected a recording: a CSV, Parquet or NPY file, bytes or an array")
    head = _head(content)
    if head.startswith(b"\x93NUMPY"):
        return _from_array(read_npy(content, name), name)
    if columns is not None and (not isinstance(columns, list | tuple) or len(columns) != len(CHANNELS)):
        raise MediaError(name, f"the option columns must be six names ({', '.join(CHANNELS)}), got {columns!r}")
    if head.startswith(b"PAR1"):
        return _from_parquet(content, columns, time_column, name)
    return _from_csv(content, head, columns, time_column, name)


def _head(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content[:512]
    with open(content, "rb") as file:
        return file.read(512)


def _from_array(array: np.ndarray, name: str) -> Table:
    if array.dtype.kind not in "iuf" or array.ndim != 2:
        problem = f"a recording must be an array of numbers [T, 6] or [6, T], got {array.dtype} {list(array.shape)}"
        raise MediaError(name, problem)
    widths = (len(CHANNELS), len(CHANNELS) + 1)
    if array.shape[1] not in widths and array.shape[0] in widths:
        array = array.T
    if array.shape[1] not in widths or len(array) == 0:
        problem = f"must be [T, 6] or [6, T], or with times first [T, 7] or [7, T], got {list(array.shape)}"
        raise MediaError(name, problem)
    _check_rows(len(array), name)
    numbers = np.asarray(array, dtype=np.float64).T
    return _ordered(Table(numbers[-6:], numbers[0] if len(numbers) == 7 else None), name)


def _from_parquet(content: str | bytes, columns: Any, time_column: Any, name: str) -> Table:
    parquet = import_extra("pyarrow.parquet", "sensors", "Parquet tables")
    try:
        with parquet.ParquetFile(io.BytesIO(content) if isinstance(content, bytes) else content) as file:
            _check_rows(file.metadata.num_rows, name)
            names = list(file.schema_arrow.names)
            chosen = _choose_columns(names, columns, time_column, name)
            read = file.read(columns=[names[index] for index in chosen if index is not None])
            found = [None if index is None else _parquet_column(read[names[index]]) for index in chosen]
    except MediaError:
        raise
    except Exception as error:  # pyarrow's errors on broken files have no common class
        raise MediaError(name, f"cannot be read as Parquet ({error})") from error
    texts = [None if index is None else names[index] for index in chosen]
    table = _named([None if pair is None else pair[0] for pair in found], texts, name)
    stamp_unit = None if found[0] is None else found[0][1]
    return table if stamp_unit is None else replace(table, time_unit=stamp_unit)


def _parquet_column(column: Any) -> tuple[np.ndarray, str | None]:
    """Return numbers as float64 with NaN for missing ones, and the unit of a column of dates."""
    unit = getattr(column.type, "unit", None)  # only types of time have one
    numbers = column.cast("int64") if unit is not None else column
    return numbers.cast("float64", safe=False).to_numpy(), unit


def _from_csv(content: str | bytes, head: bytes, columns: Any, time_column: Any, name: str) -> Table:
    if b"\0" in head:
        raise MediaError(name, f"is no table of text{what_it_looks_like(content)}")
    try:
        with _text(content) as file:
            first = file.readline(_LONGEST_LINE).lstrip("#").strip()
            delimiter = next((mark for mark in _DELIMITERS if mark in first), " ")
            cells = _cells(first, delimiter)
            has_names = not all(map(_is_number, cells))
            if has_names:
                chosen = _choose_columns(cells, columns, time_column, name)
            elif columns is not None or time_column is not None:
                raise MediaError(name, "has no names of columns in its first line, so options cannot choose by them")
            else:
                chosen = _unnamed_columns(len(cells), name)
            rows = [] if has_names else [_numbers(cells, chosen, delimiter)]
            for line in iter(lambda: file.readline(_LONGEST_LINE), ""):
                if line.strip() and not line.startswith("#"):
                    rows.append(_numbers(_cells(line, delimiter), chosen, delimiter))
                    _check_rows(len(rows), name)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise MediaError(name, f"cannot be read as a table of text ({error}){what_it_looks_like(content)}") from error
    if not rows:
        raise MediaError(name, "has no rows of numbers; it is empty or was cut off")
    numbers = iter(np.stack(rows, axis=1))
    values = [None if index is None else next(numbers) for index in chosen]
    texts = [cells[index] if has_names and index is not None else None for index in chosen]
    return _named(values, texts, name)


@contextmanager
def _text(content: str | bytes) -> Iterator[io.TextIOBase]:
    raw = io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb")  # noqa: SIM115
    with io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
        yield file


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter))]


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return text == ""
    return True


def _numbers(cells: list[str], chosen: list[int | None], delimiter: str) -> np.ndarray:
    """Return the chosen cells as numbers, with NaN for a cell that is empty, missing or a word."""
    return np.array([_number(cells, index, delimiter) for index in chosen if index is not None])


def _number(cells: list[str], index: int, delimiter: str) -> float:
    text = cells[index] if index < len(cells) else ""
    try:
        return float(text.replace(",", ".") if delimiter == ";" else text)
    except ValueError:
        return float("nan")


def _unnamed_columns(count: int, name: str) -> list[int | None]:
    if count == len(CHANNELS):
        return [None, *range(6)]
    if count == len(CHANNELS) + 1:
        return [*range(7)]
    problem = f"has {count} columns without names; it takes six (accelerometer, gyroscope), or seven with times first"
    raise MediaError(name, problem)


def _choose_columns(names: list[str], columns: Any, time_column: Any, name: str) -> list[int | None]:
    """Return the indices of the times (or None) and of the six channels."""
    if columns is not None:
        given: list[Any] = [time_column, *columns]
        missing = [text for text in given if text is not None and text not in names]
        if missing:
            raise MediaError(name, f"has no column {missing[0]!r}; its columns are {_shown(names)}")
        time = _time_index(names) if time_column is None else names.index(time_column)
        return [time, *(names.index(text) for text in columns)]
    found: dict[str, int] = {}
    for index, text in enumerate(names):
        channel = _channel(text)
        if channel is not None:
            found.setdefault(channel, index)
    missing = [channel for channel in CHANNELS if channel not in found]
    if missing:
        problem = f"has no column that is named like {missing[0]}; its columns are {_shown(names)}"
        raise MediaError(name, f"{problem}. Name them, accelerometer x y z first, in the option 'columns'")
    if time_column is not None and time_column not in names:
        raise MediaError(name, f"has no column {time_column!r}; its columns are {_shown(names)}")
    time = _time_index(names) if time_column is None else names.index(time_column)
    return [time, *(found[channel] for channel in CHANNELS)]


def _shown(names: list[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 200 else text[:197] + "..."


def _plain(text: str) -> str:
    """Return a column's name in lower case without unit and punctuation: `AccX (g)` -> `accx`, `acc.x` -> `acc x`."""
    return re.sub(r"[._\-/ ]+", " ", re.sub(r"[\[(].*", "", text)).strip(" #\"'").lower()


def _channel(text: str) -> str | None:
    plain = _plain(text)
    match = re.fullmatch(r"(.*?) ?([xyz])", plain) or re.fullmatch(r"(?P<axis>[xyz]) (?P<rest>.+)", plain)
    if match is None or "grav" in plain:
        return None
    sensor, axis = match.groups() if match.re.groupindex == {} else (match["rest"], match["axis"])
    if _GYROSCOPE.fullmatch(sensor):
        return f"gyroscope {axis}"
    return f"accelerometer {axis}" if _ACCELEROMETER.fullmatch(sensor) else None


def _time_index(names: list[str]) -> int | None:
    return next((index for index, text in enumerate(names) if _TIME.fullmatch(_plain(text))), None)


def _unit(text: str | None) -> str | None:
    """Return the unit in brackets at the end of a column's name, or its last word if that is a unit of time."""
    if text is None:
        return None
    match = re.search(r"[\[(]\s*(.*?)\s*[\])]", text)
    if match:
        return _UNITS.get(re.sub(r"[ ^*·]", "", match[1]).lower())
    last = _plain(text).split(" ")[-1]
    return _UNITS.get(last) if last in ("s", "sec", "seconds", "ms", "us", "ns") else None


def _named(values: list[Any], texts: list[str | None], name: str) -> Table:
    times, *channels = values
    units = _unit(texts[1]), _unit(texts[4]), _unit(texts[0])
    return _ordered(Table(np.stack(channels), times, *units), name)


def _ordered(table: Table, name: str) -> Table:
    """Sort the rows by time, keep one row for each time, and leave out rows without a time."""
    if table.times is None:
        return table
    known = np.flatnonzero(np.isfinite(table.times))
    if len(known) == 0:
        raise MediaError(name, "has no time that is a number; its times must be numbers of seconds (or time_unit)")
    times, first = np.unique(table.times[known], return_index=True)
    if len(times) == 1 and len(known) > 1:
        raise MediaError(name, f"has the same time, {times[0]:g}, in all rows")
    return replace(table, values=table.values[:, known[first]], times=times)


def _check_rows(count: int, name: str) -> None:
    if count == 0:
        raise MediaError(name, "has no rows")
    if count > MOST_ROWS:
        raise MediaError(name, f"has more than {MOST_ROWS} rows; cut it into recordings")
