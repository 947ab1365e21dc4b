"""Official annotation files as records: JSON, JSON lines, CSV with and without a header, TSV."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.data.benchmark import Record
from omni.media.item import shorten


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ValueError: it is no JSON, with the place.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except _TwoValuesError as error:
        raise ValueError(f"{path} {error}; get it again, or take one of them out") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}); get it again") from error


class _TwoValuesError(ValueError):
    """An object of JSON has two values under one key, of which Python's parser would keep the last without a word."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise _TwoValuesError(f"has the key {key!r} twice, with {shorten(value)} and {shorten(found[key])}")
    return found


def json_list(path: Path, *keys: str) -> list[Record]:
    """Return the list of objects in a JSON file, or under `keys`, one in the other.

    Raises:
        ValueError: there is none; the message names what is there.
    """
    value = read_json(path)
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            found = ", ".join(map(str, [*value][:8])) if isinstance(value, Mapping) else shorten(value)
            raise ValueError(f"{path} has no {key!r}; found {found}")
        value = value[key]
    return checked_objects(value, path)


def checked_objects(value: Any, path: Path) -> list[Record]:
    """Return a list of objects.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, list):
        raise ValueError(f"{path} must hold a list of objects, got {shorten(value)}")
    wrong = next((one for one in value if not isinstance(one, Mapping)), None)
    if wrong is not None:
        raise ValueError(f"{path} must hold a list of objects, got {shorten(wrong)} in it")
    return value


def json_lines(path: Path) -> list[Record]:
    """Return the objects of a file with one JSON object a line; a file with one list of them will do.

    Raises:
        ValueError: a line is no object, with its number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_utf_8(path, error) from error
    if text.lstrip().startswith("["):
        return json_list(path)
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_object)
        except _TwoValuesError as error:
            raise ValueError(f"{path}, line {number} {error}; get it again, or take one of them out") from error
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is no JSON ({error})") from error
        if not isinstance(value, Mapping):
            raise ValueError(f"{path}, line {number} is no object: {shorten(value)}")
        found.append(value)
    return found


def csv_records(
    path: Path, columns: Sequence[str] = (), *, header: bool = True, separator: str = ",", quoted: bool = True
) -> list[Record]:
    """Return the rows of a CSV or TSV file as objects of texts.

    Args:
        path: the file.
        columns: those that must be there or, without a header, the names of all columns in their order.
        header: whether the first line names the columns.
        separator: between the cells.
        quoted: whether cells in quotation marks may hold separators and line breaks.

    Raises:
        ValueError: a column is missing, or a row has another number of cells; the message names it.
    """
    csv.field_size_limit(sys.maxsize)  # a cell may hold a picture in base64
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    found: list[Record] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator, quoting=quoting)
        try:
            names = [name.strip() for name in next(reader, [])] if header else [*columns]
            missing = [column for column in columns if column not in names]
            if missing:
                raise ValueError(f"{path} has no column {missing[0]!r}; found {', '.join(map(shorten, names))}")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise ValueError(
                        f"{path}, line {reader.line_num} has {len(cells)} cells, where {len(names)} columns are: "
                        f"{shorten(cells)}"
                    )
                found.append(dict(zip(names, cells, strict=True)))
        except UnicodeDecodeError as error:
            raise _no_utf_8(path, error) from error
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num} cannot be read ({error})") from error
    return found


def _no_utf_8(path: Path, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}); get it again, or convert it")
