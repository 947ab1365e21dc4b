"""PLY: meshes and clouds, ASCII or binary, with lists of any length (Turk 1994). V vertices, F faces."""

from dataclasses import dataclass, field

import numpy as np

from omni.media.mesh_files import Beside, colors_at, numbers_in, picture
from omni.media.surface import Mesh, colors_of_faces, strip_triangles, triangulate, unit_colors

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8"},
}
_COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_COORDINATES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_LONGEST_HEADER = 1 << 20  # bytes


@dataclass
class _Property:
    name: str
    type: str
    count_type: str | None = None  # of a list


@dataclass
class _Element:
    """`scalars` `[rows]` and `lists` (values of all rows, and how many of each row) are filled while reading."""

    name: str
    rows: int
    properties: list[_Property] = field(default_factory=list)
    scalars: dict[str, np.ndarray] = field(default_factory=dict)
    lists: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def read_ply(data: bytes, beside: Beside, name: str) -> Mesh:
    """Read a mesh, or a cloud where there are no faces.

    Polygons of any number of corners and strips become triangles. Colours are those of the vertices, of the texture
    that a comment names (`TextureFile`), or of the faces.

    Raises:
        ValueError: it is damaged.
    """
    elements, form, texture, body = _read_header(data)
    if form == "ascii":
        _read_ascii(elements, data[body:])
    else:
        _read_binary(elements, memoryview(data)[body:], "<" if form == "binary_little_endian" else ">")
    found = {element.name: element for element in elements}
    if "vertex" not in found or not {"x", "y", "z"} <= {*found["vertex"].scalars}:
        raise ValueError("it has no vertices with x, y and z")
    vertex, face = found["vertex"].scalars, found.get("face")
    vertices = np.stack([vertex[axis].astype(np.float64) for axis in "xyz"], axis=1)
    corners, counts = _polygons(face)
    triangles = triangulate(vertices, corners, counts)
    colors = _colors(vertex)
    if texture is not None and len(triangles):
        textured = _textured(vertices, corners, triangles, found["vertex"], face, beside, texture, name)
        if textured is not None:
            return textured
    faces = corners[triangles]
    if "tristrips" in found:
        faces = np.concatenate([faces, _strips(found["tristrips"], len(vertices))])
    if not len(faces):
        return Mesh(vertices, None, colors)
    if colors is None and face is not None and len(triangles) == len(faces):
        of_faces = _colors(face.scalars)
        if of_faces is not None:
            polygon = np.searchsorted(np.cumsum(counts), triangles[:, 0], side="right")
            colors = colors_of_faces(len(vertices), faces, of_faces[polygon])
    return Mesh(vertices, faces, colors)


def _read_header(data: bytes) -> tuple[list[_Element], str, str | None, int]:
    """Return the elements, the format, the name of a texture, and where the header ends."""
    end = data.find(b"end_header", 0, _LONGEST_HEADER)
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("its header has no end")
    body = end + len(b"end_header")
    body += 2 if data[body : body + 2] == b"\r\n" else 1
    elements: list[_Element] = []
    form, texture = "", None
    for line in data[:end].decode("latin-1").replace("\r", "\n").split("\n"):
        words = line.split()
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:2] == ["comment", "TextureFile"] and texture is None:
            texture = line.split("TextureFile", 1)[1].strip()
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1].lower(), int(words[2])))
        elif words[:1] == ["property"]:
            is_list = words[1] == "list"
            count_type = _TYPES[words[2]] if is_list else None
            elements[-1].properties.append(_Property(words[-1].lower(), _TYPES[words[-2]], count_type))
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise ValueError(f"its format is {form!r}")
    if any(element.rows < 0 for element in elements):
        raise ValueError("it claims fewer than no rows")
    return elements, form, texture, body


def _read_ascii(elements: list[_Element], text: bytes) -> None:
    values = numbers_in(text.decode("latin-1"))
    place = 0
    for element in elements:
        place = _fill_ascii(element, values, place)


def _fill_ascii(element: _Element, values: np.ndarray, place: int) -> int:
    """Take an element's rows from all numbers, and return where the next one's begin."""
    if element.rows == 0 or not element.properties:
        return place
    widths = _first_widths(element, values, place)
    table = values[place : place + element.rows * sum(widths)]
    if len(table) == element.rows * sum(widths):
        table = table.reshape(element.rows, -1)
        begins = np.cumsum([0, *widths[:-1]])
        lists = [i for i, one in enumerate(element.properties) if one.count_type is not None]
        if all((table[:, begins[i]] == widths[i] - 1).all() for i in lists):
            for one, begin, width in zip(element.properties, begins, widths, strict=True):
                _keep(element, one, table[:, begin : begin + width])
            return place + table.size
    starts, counts, end = _walk_ascii(element, values, place)
    for i, one in enumerate(element.properties):
        if one.count_type is None:
            element.scalars[one.name] = values[starts[:, i]].astype(one.type)
        else:
            element.lists[one.name] = values[_spans(starts[:, i], counts[:, i])].astype(one.type), counts[:, i]
    return end


def _first_widths(element: _Element, values: np.ndarray, place: int) -> list[int]:
    widths = []
    for one in element.properties:
        if one.count_type is not None and place >= len(values):
            raise ValueError(f"it ends before its {element.rows} rows of {element.name}")
        widths.append(1 if one.count_type is None else 1 + _count(values[place]))
        place += widths[-1]
    return widths


def _count(value: float) -> int:
    if not 0 <= value < 1 << 24:
        raise ValueError(f"a list of {value:g} values is none")
    return int(value)


def _keep(element: _Element, one: _Property, columns: np.ndarray) -> None:
    if one.count_type is None:
        element.scalars[one.name] = columns[:, 0].astype(one.type)
    else:
        counts = np.full(len(columns), columns.shape[1] - 1)
        element.lists[one.name] = columns[:, 1:].reshape(-1).astype(one.type), counts


def _walk_ascii(element: _Element, values: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray, int]:
    starts, counts = [], []
    for _ in range(element.rows):
        for one in element.properties:
            if place >= len(values):
                raise ValueError(f"it ends before its {element.rows} rows of {element.name}")
            is_list = one.count_type is not None
            count = _count(values[place]) if is_list else 1
            starts.append(place + is_list)
            counts.append(count)
            place += is_list + count
    if place > len(values):
        raise ValueError(f"it ends before its {element.rows} rows of {element.name}")
    shape = (element.rows, len(element.properties))
    return np.array(starts).reshape(shape), np.array(counts).reshape(shape), place


def _spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return `start, start + 1, ...` for each start, `count` of them, all in a row."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


def _read_binary(elements: list[_Element], data: memoryview, order: str) -> None:
    place = 0
    for element in elements:
        place = _fill_binary(element, data, place, order)


def _fill_binary(element: _Element, data: memoryview, place: int, order: str) -> int:
    if element.rows == 0 or not element.properties:
        return place
    fixed = np.dtype(_row_type(element, data, place, order))
    size = fixed.itemsize * element.rows
    if size <= len(data) - place:
        table = np.frombuffer(data, fixed, element.rows, place)
        lists = [i for i, one in enumerate(element.properties) if one.count_type is not None]
        if all((table[f"n{i}"] == table[f"v{i}"].shape[1]).all() for i in lists):
            for i, one in enumerate(element.properties):
                if one.count_type is None:
                    element.scalars[one.name] = table[f"v{i}"]
                else:
                    values = table[f"v{i}"]
                    element.lists[one.name] = values.reshape(-1), np.full(element.rows, values.shape[1])
            return place + size
    starts, counts, end = _walk_binary(element, data, place, order)
    raw = np.frombuffer(data, np.uint8)
    for i, one in enumerate(element.properties):
        kind = np.dtype(order + one.type)
        before = np.cumsum(counts[:, i]) - counts[:, i]
        places = np.repeat(starts[:, i] - before * kind.itemsize, counts[:, i])
        places = places + np.arange(len(places)) * kind.itemsize
        values = raw[places[:, None] + np.arange(kind.itemsize)].copy().view(kind).reshape(-1)
        if one.count_type is None:
            element.scalars[one.name] = values
        else:
            element.lists[one.name] = values, counts[:, i]
    return end


def _row_type(element: _Element, data: memoryview, place: int, order: str) -> list[tuple]:
    """Return the type of a row whose lists are as long as those of the first row."""
    fields: list[tuple] = []
    for i, one in enumerate(element.properties):
        if one.count_type is None:
            fields.append((f"v{i}", order + one.type))
            place += np.dtype(one.type).itemsize
        else:
            count = _binary_count(one, data, place, order)
            fields += [(f"n{i}", order + one.count_type), (f"v{i}", order + one.type, (count,))]
            place += np.dtype(one.count_type).itemsize + count * np.dtype(one.type).itemsize
    return fields


def _binary_count(one: _Property, data: memoryview, place: int, order: str) -> int:
    kind = np.dtype(order + (one.count_type or "u1"))
    if place + kind.itemsize > len(data):
        raise ValueError("it ends within a list; it was cut off")
    return _count(float(np.frombuffer(data, kind, 1, place)[0]))


def _walk_binary(element: _Element, data: memoryview, place: int, order: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return where the values of each property of each row begin, how many they are, and where the element ends."""
    byte_order = "little" if order == "<" else "big"
    steps = [
        (0 if one.count_type is None else np.dtype(one.count_type).itemsize, np.dtype(one.type).itemsize)
        for one in element.properties
    ]
    if any((one.count_type or "u1")[0] == "f" for one in element.properties):
        raise ValueError("the lengths of its lists are not whole numbers")
    starts, counts = [], []
    for _ in range(element.rows):
        for count_size, size in steps:
            count = int.from_bytes(data[place : place + count_size], byte_order) if count_size else 1
            place += count_size
            starts.append(place)
            counts.append(count)
            place += count * size
        if place > len(data):
            raise ValueError(f"it ends before its {element.rows} rows of {element.name}; it was cut off")
    shape = (element.rows, len(steps))
    return np.array(starts).reshape(shape), np.array(counts).reshape(shape), place


def _polygons(face: _Element | None) -> tuple[np.ndarray, np.ndarray]:
    for key in ("vertex_indices", "vertex_index"):
        if face is not None and key in face.lists:
            corners, counts = face.lists[key]
            return corners.astype(np.int64), counts.astype(np.int64)
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _strips(element: _Element, num_vertices: int) -> np.ndarray:
    """Return the triangles of strips, which -1 parts (as Stanford's scans are stored)."""
    pieces = [np.zeros((0, 3), np.int64)]
    for values, counts in element.lists.values():
        ends = np.cumsum(counts)
        for begin, end in zip(ends - counts, ends, strict=True):
            row = values[begin:end].astype(np.int64)
            for strip in np.split(row, np.flatnonzero(row < 0)):
                pieces.append(strip_triangles(strip[strip >= 0]))
    faces = np.concatenate(pieces)
    if len(faces) and faces.max() >= num_vertices:
        raise ValueError(f"a face names a vertex that is not there (it has {num_vertices})")
    return faces


def _colors(scalars: dict[str, np.ndarray]) -> np.ndarray | None:
    for names in _COLORS:
        if all(key in scalars for key in names):
            return unit_colors(np.stack([scalars[key] for key in names], axis=1)) if len(scalars[names[0]]) else None
    return None


def _textured(
    vertices: np.ndarray,
    corners: np.ndarray,
    triangles: np.ndarray,
    vertex: _Element,
    face: _Element | None,
    beside: Beside,
    texture: str,
    name: str,
) -> Mesh | None:
    """Return the mesh with the colours of its texture, or None where the picture or the coordinates are missing."""
    names = next((pair for pair in _COORDINATES if all(key in vertex.scalars for key in pair)), None)
    per_corner = None if face is None else face.lists.get("texcoord")
    counts = np.zeros(0) if face is None else _polygons(face)[1]
    try:
        image = picture(beside(texture), name)
    except (OSError, ValueError):
        return None
    if per_corner is not None and np.array_equal(per_corner[1], 2 * counts):
        coordinates = per_corner[0].reshape(-1, 2)
        faces = triangles.reshape(-1)  # each corner has coordinates of its own, so it becomes a vertex of its own
        colors = colors_at(image, coordinates[faces] * [1, -1] + [0, 1])
        return Mesh(vertices[corners[faces]], np.arange(len(faces)).reshape(-1, 3), colors)
    if names is None:
        return None
    coordinates = np.stack([vertex.scalars[key] for key in names], axis=1)
    return Mesh(vertices, corners[triangles], colors_at(image, coordinates * [1, -1] + [0, 1]))
