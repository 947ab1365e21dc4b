"""Tables of inertial recordings: their columns and units, from CSV, Parquet, NPY and arrays.

Shapes: T samples.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from omni.media.errors import MediaError
from omni.media.imu_columns import CHANNELS, Chosen, choose_columns
from omni.media.imu_units import parse_unit, unit_or_text
from omni.media.npy import read_npy
from omni.media.source import content_of, describe_source, option, what_it_looks_like
from omni.runtime.extras import import_extra

MOST_ROWS = 4_000_000  # rows of a table: 2.8 hours at 400 Hz, 0.3 GB of memory

_DELIMITERS = (",", ";", "\t")
_LONGEST_LINE = 1 << 16  # characters
_MOST_PREAMBLE_LINES = 200  # before the names of the columns: what logger apps say of themselves
_MOST_DOUBLED = 0.1  # share of rows with other numbers at a time that another row has
_IN_ORDER = 0.9  # share of rows that times without a name rise in: some packets are late
_RUN = 20  # rows: a shorter run of rising times is late packets, a longer one a recording


@dataclass(frozen=True)
class Table:
    """`values` float64 `[6, T]` in the order of CHANNELS; `times` float64 `[T]`, strictly rising, or None. Units are
    None where the names do not say them, and the text that stands there where it is no known unit."""

    values: np.ndarray
    times: np.ndarray | None
    acceleration_unit: str | None = None
    rotation_unit: str | None = None
    time_unit: str | None = None
    has_names: bool = True


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
        return _from_array(content, source, name)
    if not isinstance(content, str | bytes) or (isinstance(content, str) and Path(content).is_dir()):
        raise MediaError(name, "expected a recording: a CSV, Parquet or NPY file, bytes or an array")
    head = _head(content)
    if head.startswith(b"\x93NUMPY"):
        return _from_array(read_npy(content, name), source, name)
    if columns is not None and (not isinstance(columns, list | tuple) or len(columns) != len(CHANNELS)):
        raise MediaError(name, f"the option columns must be six names ({', '.join(CHANNELS)}), got {columns!r}")
    if head.startswith(b"PAR1"):
        return _from_parquet(content, columns, time_column, name)
    return _from_csv(content, head, source, columns, time_column, name)


def _head(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content[:512]
    with open(content, "rb") as file:
        return file.read(512)


def _from_array(array: np.ndarray, source: Any, name: str) -> Table:
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
    if len(numbers) == 6:
        return Table(numbers, None, has_names=False)
    return _ordered(_unnamed(Table(numbers[1:], numbers[0], has_names=False), source, name), name)


def _unnamed(table: Table, source: Any, name: str) -> Table:
    """Return a table without names of columns; raise MediaError if it is not sure that the first of seven are times."""
    times, last = table.times, table.values[-1]
    if times is None or len(set(times[np.isfinite(times)].tolist())) < 2:  # one row, or an error that follows
        return table
    way_out = "name the columns, or give six of them and sampling_rate"
    if not _rises(times):
        raise MediaError(name, f"has seven columns without names, the first of which are no times; {way_out}")
    if len(times) > 2 and _rises(last):
        raise MediaError(name, f"has seven columns without names, of which two could be times; {way_out}")
    if len(times) > 2 and np.all(np.diff(times) == 1) and option(source, "time_unit", None) is None:
        problem = "has seven columns without names, the first of which counts: seconds, or rows"
        raise MediaError(name, f"{problem}; give its unit as time_unit, or {way_out}")
    return table


def _rises(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 1 and bool(np.mean(np.diff(known) >= 0) >= _IN_ORDER and known[-1] > known[0])


def _from_parquet(content: str | bytes, columns: Any, time_column: Any, name: str) -> Table:
    parquet = import_extra("pyarrow.parquet", "sensors", "Parquet tables")
    try:
        with parquet.ParquetFile(io.BytesIO(content) if isinstance(content, bytes) else content) as file:
            _check_rows(file.metadata.num_rows, name)
            names = list(file.schema_arrow.names)
            chosen = choose_columns(names, columns, time_column, name)
            read = file.read(columns=[names[index] for index in chosen.all])
            found = {index: _parquet_column(read[names[index]]) for index in chosen.all}
    except MediaError:
        raise
    except Exception as error:  # pyarrow's errors on broken files have no common class
        raise MediaError(name, f"cannot be read as Parquet ({error})") from error
    units = [found[index][1] if index in found and found[index][1] else unit for index, unit in enumerate(chosen.units)]
    return _assembled({index: numbers for index, (numbers, _) in found.items()}, chosen, units, name)


def _parquet_column(column: Any) -> tuple[np.ndarray, str | None]:
    """Return numbers as float64 with NaN for missing ones, and the unit of a column of dates."""
    unit = getattr(column.type, "unit", None)  # only types of time have one
    if str(column.type) in ("string", "large_string"):  # words, such as dates, are no numbers
        return np.array([_number([str(text)], 0, ",") for text in column.to_pylist()]), None
    numbers = column.cast("int64") if unit is not None else column
    return numbers.cast("float64", safe=False).to_numpy(), unit


def _from_csv(content: str | bytes, head: bytes, source: Any, columns: Any, time_column: Any, name: str) -> Table:
    is_wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in head and not is_wide:
        raise MediaError(name, f"is no table of text{what_it_looks_like(content)}")
    problem: Exception | None = None
    for encoding in ("utf-16",) if is_wide else ("utf-8-sig", "cp1252"):  # units such as deg and s2 in Windows' letters
        try:
            with _text(content, encoding) as file:
                return _read_text(file, source, columns, time_column, name)
        except UnicodeDecodeError as error:
            problem = error
        except (csv.Error, OSError) as error:
            looks = what_it_looks_like(content)
            raise MediaError(name, f"cannot be read as a table of text ({error}){looks}") from error
    raise MediaError(name, f"cannot be read as a table of text ({problem}){what_it_looks_like(content)}")


def _read_text(file: io.TextIOBase, source: Any, columns: Any, time_column: Any, name: str) -> Table:
    names, delimiter, row = _find_header(file, columns, time_column, name)
    if names is None:
        if columns is not None or time_column is not None:
            raise MediaError(name, "has no names of columns in its first line, so options cannot choose by them")
        chosen = _unnamed_columns(len(row), name)
    else:
        chosen = choose_columns(names, columns, time_column, name)
    wanted = list(dict.fromkeys(chosen.all))
    units, rows = list(chosen.units), []
    if names is None:
        rows.append(_numbers(row, wanted, delimiter))
    for line in iter(lambda: file.readline(_LONGEST_LINE), ""):
        if not line.strip() or line.startswith("#"):
            continue
        cells = _cells(line, delimiter)
        if names is not None and not rows and _are_words(cells, chosen):
            units = _units_below(cells, units)
            continue
        rows.append(_numbers(cells, wanted, delimiter))
        _check_rows(len(rows), name)
    if not rows:
        raise MediaError(name, "has no rows of numbers; it is empty or was cut off")
    numbers = dict(zip(wanted, np.stack(rows, axis=1), strict=True))
    if names is None:
        table = Table(np.stack([numbers[index] for index in chosen.channels]), None, has_names=False)
        table = replace(table, times=numbers[0]) if chosen.times else table
        return _ordered(_unnamed(table, source, name), name)
    return _assembled(numbers, chosen, units, name)


def _find_header(
    file: io.TextIOBase, columns: Any, time_column: Any, name: str
) -> tuple[list[str] | None, str, list[str]]:
    """Return the names of the columns, or None, the delimiter, and the cells of the line that was read last.

    The names are in the first line in which all that are needed are found: logger apps begin with lines about
    themselves. Without names the table begins with the first line of numbers alone.
    """
    problem: MediaError | None = None
    width, separator = 0, None
    for _ in range(_MOST_PREAMBLE_LINES):
        text = file.readline(_LONGEST_LINE)
        if not text:
            break
        line = text.lstrip("#%/ ").strip()
        if line[:4].lower() == "sep=":
            separator = text.strip()[4:5] or "\t"
        if not line or line[:4].lower() == "sep=":
            continue
        delimiter = separator or next((mark for mark in _DELIMITERS if mark in line), " ")
        cells = _cells(line, delimiter)
        if all(map(_is_number, cells)) and len(cells) > 1:
            if problem is not None and width == len(cells):
                raise problem  # these are the names of that table
            return None, delimiter, cells
        try:
            choose_columns(cells, columns, time_column, name)
        except MediaError as error:
            if len(cells) >= width and not all(map(_is_number, cells)):
                problem, width = error, len(cells)
        else:
            return cells, delimiter, cells
    raise problem or MediaError(name, "has no rows of numbers; it is empty or was cut off")


def _are_words(cells: list[str], chosen: Chosen) -> bool:
    """Return whether none of the six channels is a number or empty: a row about the columns, not of the table."""
    return all(index < len(cells) and not _is_number(cells[index]) for index in chosen.channels) and not any(
        cells[index].lower() in ("nan", "null", "none", "na", "n/a", "-") for index in chosen.channels
    )


def _units_below(cells: list[str], units: list[str | None]) -> list[str | None]:
    """Return the units of a row below the names, if it is one (Shimmer writes such), else those that are known."""
    if not any(parse_unit(cell) for cell in cells):
        return units
    below = [unit_or_text(cell) if cell else None for cell in cells[: len(units)]]
    below += [None] * (len(units) - len(below))
    return [known or unit for known, unit in zip(units, below, strict=True)]


@contextmanager
def _text(content: str | bytes, encoding: str) -> Iterator[io.TextIOBase]:
    raw = io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb")  # noqa: SIM115
    with io.TextIOWrapper(raw, encoding=encoding) as file:
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


def _numbers(cells: list[str], wanted: list[int], delimiter: str) -> np.ndarray:
    """Return the wanted cells as numbers, with NaN for a cell that is empty, missing or a word."""
    return np.array([_number(cells, index, delimiter) for index in wanted])


def _number(cells: list[str], index: int, delimiter: str) -> float:
    text = cells[index] if index < len(cells) else ""
    try:
        return float(text if delimiter == "," else text.replace(",", "."))
    except ValueError:
        return float("nan")


def _unnamed_columns(count: int, name: str) -> Chosen:
    if count == len(CHANNELS):
        return Chosen((), tuple(range(6)), (), (None,) * 6)
    if count == len(CHANNELS) + 1:
        return Chosen((0,), tuple(range(1, 7)), (), (None,) * 7)
    problem = f"has {count} columns without names; it takes six (accelerometer, gyroscope), or seven with times first"
    raise MediaError(name, problem)


def _assembled(numbers: dict[int, np.ndarray], chosen: Chosen, units: Sequence[str | None], name: str) -> Table:
    """Return the table of the columns that were read, the first column of times that has any taken."""
    values = np.stack([numbers[index] for index in chosen.channels])
    acceleration = _unit_of_axes(units, chosen.channels[:3] + chosen.gravity, name)
    rotation = _unit_of_axes(units, chosen.channels[3:], name)
    if chosen.gravity:
        values[:3] += np.stack([numbers[index] for index in chosen.gravity])
    timed = [index for index in chosen.times if np.isfinite(numbers[index]).any()] or [*chosen.times[:1]]
    times = numbers[timed[0]] if timed else None
    time_unit = units[timed[0]] if timed else None
    return _ordered(Table(values, times, acceleration, rotation, time_unit), name)


def _unit_of_axes(units: Sequence[str | None], columns: Sequence[int], name: str) -> str | None:
    stated = sorted({unit for unit in (units[index] for index in columns) if unit is not None})
    if len(stated) > 1:
        raise MediaError(name, f"has the units {' and '.join(stated)} for the axes of one sensor")
    return stated[0] if stated else None


def _ordered(table: Table, name: str) -> Table:
    """Sort the rows by time, join rows of the same time, and leave out rows without a time."""
    if table.times is None:
        return table
    known = np.flatnonzero(np.isfinite(table.times))
    if len(known) == 0:
        raise MediaError(name, "has no time that is a number; its times must be numbers of seconds (or time_unit)")
    times, values = table.times[known], table.values[:, known]
    if len(times) > 1 and np.all(np.diff(times) > 0):
        return replace(table, values=values, times=times)
    for channel in (0, 3):
        _check_one_recording(times[np.isfinite(values[channel])], name)
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[:, order]
    begins = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)
    if len(begins) == 1 and len(known) > 1:
        raise MediaError(name, f"has the same time, {times[0]:g}, in all rows")
    joined = np.stack([_first_known(row, begins) for row in values])
    same = joined[:, np.cumsum(np.diff(times, prepend=-np.inf) > 0) - 1]
    doubled = np.mean((np.isfinite(values) & (values != same)).any(axis=0))
    if doubled > _MOST_DOUBLED:
        problem = f"has other numbers at a time that another row has in {doubled:.0%} of its rows"
        raise MediaError(name, f"{problem}: its times are too coarse, or of several recordings; name a time_column")
    return replace(table, values=joined, times=times[begins])


def _first_known(row: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Return the first number of each group of samples, NaN where a group has none."""
    places = np.where(np.isfinite(row), np.arange(len(row)), len(row))
    return np.append(row, np.nan)[np.minimum.reduceat(places, begins)]


def _check_one_recording(times: np.ndarray, name: str) -> None:
    """Raise MediaError where times begin anew within the time that is recorded already: two recordings in one table."""
    edges = [0, *(np.flatnonzero(np.diff(times) < 0) + 1), len(times)]
    runs = [times[begin:end] for begin, end in pairwise(edges) if end - begin >= _RUN]
    row = 0
    for before, after in pairwise(runs):
        row += len(before)
        shared = max(before[0], after[0]), min(before[-1], after[-1])
        counts = [np.count_nonzero((run >= shared[0]) & (run <= shared[1])) for run in (before, after)]
        if min(counts) >= _RUN:
            problem = f"begins anew: from its sample {row} on the times from {after[0]:g} on are there a second time"
            raise MediaError(name, f"{problem}. Cut it into its parts, or name another time_column")


def _check_rows(count: int, name: str) -> None:
    if count == 0:
        raise MediaError(name, "has no rows")
    if count > MOST_ROWS:
        raise MediaError(name, f"has more than {MOST_ROWS} rows; cut it into recordings")
