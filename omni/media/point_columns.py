"""Point clouds as tables: what the columns of XYZ files and of arrays are. N points, K columns.

Columns have names, from a file's header or from the item's option `columns`, or their number and numbers leave no
doubt, or they are refused: normals and intensities must not become colours.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from omni.media.errors import MediaError
from omni.media.surface import Mesh, unit_colors

_SPELLINGS = {
    "r": ("r", "red", "rf", "diffuse_red"),
    "g": ("g", "green", "gf", "diffuse_green"),
    "b": ("b", "blue", "bf", "diffuse_blue"),
}
_ROLES = {spelling: role for role, spellings in _SPELLINGS.items() for spelling in spellings}
_COMMENT = re.compile(r"\s*(#|//|%|;|!)")
_TRAILING = "#|//|%|!"
_MOST_HEADER_LINES = 100
_UNIT_LENGTH = 0.02  # by which the length of a normal that was written with few digits may differ from 1
_WAY_OUT = "name the columns in the option 'columns', for example x y z r g b or x y z nx ny nz"


def cloud_from_array(array: np.ndarray, columns: Any, name: str) -> Mesh:
    """Return the cloud of an array `[N, K]`; `columns` are its names, or None.

    Raises:
        MediaError: it is no array of points, or its columns are not known.
    """
    if array.ndim != 2 or array.shape[1] < 3 or len(array) == 0 or array.dtype.kind not in "fiu":
        raise MediaError(name, f"points must be an array [N, 3], or [N, 6] with colours, got {list(array.shape)}")
    return _cloud(np.asarray(array), _given_names(columns, array.shape[1], name), name)


def read_xyz(content: str | bytes, columns: Any, name: str) -> Mesh:
    """Read a cloud from a file of numbers, a point in each line; see `cloud_from_array`.

    Comments (`#`, `//`), a first line with names (`//X Y Z R G B`) or with the number of points, and blanks, commas,
    semicolons or tabs between the numbers are understood.

    Raises:
        MediaError: a line is neither, or the columns are not known.
    """
    if isinstance(content, str):
        with open(content, "rb") as file:
            content = file.read()
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    first, names = _first_row(lines, name)
    rows = lines[first:]
    separator = _separator(rows[0])
    if "," in rows[0] and separator != ",":
        rows = [row.replace(",", ".") for row in rows]
    if any(mark in text for mark in ("#", "//", "%", "!")):
        rows = [re.split(_TRAILING, row)[0] for row in rows]
        rows = [row for row in rows if row.strip()]
    try:
        values = np.loadtxt(rows, delimiter=separator, comments=None, ndmin=2)
    except ValueError as error:
        raise MediaError(name, f"cannot be read as XYZ ({error}); its lines must be as many numbers each") from error
    if values.shape[1] < 3:
        raise MediaError(name, f"has {values.shape[1]} columns; points have at least x y z")
    given = _given_names(columns, values.shape[1], name)
    if given is None and names is not None and len(names) == values.shape[1]:
        given = names
    return _cloud(values, given, name)


def _first_row(lines: Sequence[str], name: str) -> tuple[int, list[str] | None]:
    """Return the number of the first line that is a point, and the names in the lines before it."""
    names = None
    for number, line in enumerate(lines[:_MOST_HEADER_LINES]):
        words = re.sub(r"^\s*(#|//|%|;|!)+", "", line).replace(",", " ").replace(";", " ").split()
        lower = [word.strip("\"'").lower() for word in words]
        if {"x", "y", "z"} <= {*lower}:
            names = lower
        elif not _COMMENT.match(line) and words:
            numbers = [
                _is_number(word) for word in re.split("#|//|%|!", line)[0].replace(",", " ").replace(";", " ").split()
            ]
            if all(numbers) and len(words) > 1:
                return number, names
            if not all(numbers) or number > 10:  # one number in the beginning is how many points there are
                raise MediaError(name, f"is no XYZ file: its line {number + 1} is {line.strip()[:60]!r}, not numbers")
    raise MediaError(name, "has no vertices; it is empty or not an XYZ file")


def _separator(row: str) -> str | None:
    """Return what stands between numbers; None for blanks. A comma can also be a decimal one: `1,5 2,5 3,5`."""
    if ";" in row:
        return ";"
    if "," not in row:
        return None
    blanks = row.split()
    is_decimal = len(blanks) >= 3 and all(re.fullmatch(r"[-+]?\d+(,\d+)?(e[-+]?\d+)?", part, re.I) for part in blanks)
    return None if is_decimal else ","


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _given_names(columns: Any, count: int, name: str) -> list[str] | None:
    if columns is None:
        return None
    names = columns.split() if isinstance(columns, str) else columns
    if not isinstance(names, list | tuple) or not all(isinstance(text, str) for text in names) or len(names) != count:
        raise MediaError(name, f"the option columns must be the names of its {count} columns, got {columns!r}")
    return [text.lower() for text in names]


def _cloud(values: np.ndarray, names: list[str] | None, name: str) -> Mesh:
    if names is None:
        places, colours = (0, 1, 2), _unnamed_colours(values, name)
    else:
        roles = [_ROLES.get(text, text) for text in names]
        missing = [axis for axis in "xyz" if axis not in roles]
        if missing:
            raise MediaError(name, f"has no column {missing[0]}; its columns are {' '.join(names)}")
        places = tuple(roles.index(axis) for axis in "xyz")
        has_colours = all(role in roles for role in "rgb")
        colours = tuple(roles.index(role) for role in "rgb") if has_colours else None
    in_order = places == (0, 1, 2)
    points = np.array(values[:, :3] if in_order else values[:, list(places)], dtype=np.float64)
    if colours is None:
        return Mesh(points)
    try:
        return Mesh(points, None, unit_colors(values[:, list(colours)]))
    except ValueError as error:
        raise MediaError(name, f"{error}; {_WAY_OUT}") from error


def _unnamed_colours(values: np.ndarray, name: str) -> tuple[int, int, int] | None:
    """Return the places of the colours among columns without names, or None where there are none."""
    count = values.shape[1]
    if count == 3:
        return None
    if count == 4:  # x y z intensity, as of a laser scanner, if the first does not just count the points
        if len(values) > 2 and np.array_equal(values[:, 0] - values[0, 0], np.arange(len(values))):
            raise MediaError(name, f"numbers its points in the first of 4 columns without names; {_WAY_OUT}")
        return None
    if count == 6 and _are_normals(values[:, 3:]) and values[:, 3:].min() < 0:
        return None
    if count == 6 and _are_colours(values[:, 3:]) and not _are_normals(values[:, 3:]):
        return 3, 4, 5
    # x y z intensity r g b, as of PTS files; where the last is always full, it may be x y z r g b alpha.
    if count == 7 and _are_colours(values[:, 4:]) and not (values[:, 6] == values[:, 4:].max()).all():
        return 4, 5, 6
    if count == 9:
        found = [first for first, other in ((3, 6), (6, 3)) if _is_colour_beside_normal(values, first, other)]
        if len(found) == 1:
            return found[0], found[0] + 1, found[0] + 2
    problem = f"has {count} columns without names, which could be colours, normals or others"
    raise MediaError(name, f"{problem}; {_WAY_OUT}")


def _is_colour_beside_normal(values: np.ndarray, first: int, other: int) -> bool:
    return _are_colours(values[:, first : first + 3]) and _are_normals(values[:, other : other + 3])


def _are_colours(values: np.ndarray) -> bool:
    """Return whether values are in 0-1, or whole numbers in 0-255."""
    if not (values.min() >= 0 and values.max() <= 255):
        return False
    return bool(values.max() <= 1 + 1e-3 or np.array_equal(values, np.round(values)))


def _are_normals(values: np.ndarray) -> bool:
    """Return whether nearly all rows have the length 1; rows of zeros are normals that are not known."""
    lengths = np.linalg.norm(values.astype(np.float64), axis=1)
    known = lengths[lengths > 0]
    return len(known) > 0 and bool(np.mean(np.abs(known - 1) < _UNIT_LENGTH) > 0.99)
