"""OBJ: Wavefront's meshes, with materials and textures of an MTL file, or colours of vertices.

Fields are separated by any white space, `#` begins a comment, `\\` at the end of a line continues it, and negative
indices count back from the line in which they stand. V vertices, F faces.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omni.media.image import PICTURE_FORMATS, open_picture
from omni.media.mesh_files import Beside, colors_at, numbers_in
from omni.media.surface import DEFAULT_COLOR, Mesh, triangulate, unit_colors


@dataclass
class _Lines:
    """The lines of a file by kind, without the first word."""

    vertices: list[str] = field(default_factory=list)
    coordinates: list[str] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)
    before: dict[int, tuple[int, int]] = field(
        default_factory=dict
    )  # face -> `v` and `vt` before it, if it counts back
    materials: dict[int, str] = field(default_factory=dict)  # first face -> name
    libraries: list[str] = field(default_factory=list)


def read_obj(text: str, beside: Beside) -> Mesh | None:
    """Read a mesh, or the vertices as a cloud where there are no faces; None where there are no vertices.

    Colours are those of a texture, else of the vertices, else of the material.

    Raises:
        ValueError: it is damaged.
    """
    lines = _sorted_lines(text)
    if not lines.vertices:
        return None
    table = _table(lines.vertices, 3)
    vertices = table[:, :3]
    colors = unit_colors(table[:, 3:6]) if table.shape[1] >= 6 else None
    if not lines.faces:
        return Mesh(vertices, None, colors)
    references, counts = _references(lines.faces)
    before = _before(lines, counts)
    corners = _resolved(references[:, 0], before[:, 0])
    triangles = triangulate(vertices, corners, counts)
    if not len(triangles):
        return Mesh(vertices, None, colors)
    materials = _materials(lines, beside)
    if materials:
        kinds = np.repeat(_kinds(lines, [*materials]), counts)
        points = _resolved(references[:, 1], before[:, 1])
        return _with_materials(vertices, colors, corners, points, kinds, triangles, lines, [*materials.values()])
    faces = corners[triangles]
    is_used = np.zeros(len(vertices), bool)
    is_used[faces] = True
    new_number = np.cumsum(is_used) - 1
    return Mesh(vertices[is_used], new_number[faces], None if colors is None else colors[is_used])


def _sorted_lines(text: str) -> _Lines:
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", " ").replace("\t", " ")
    found = _Lines()
    vertices, faces = found.vertices, found.faces
    for line in text.split("\n"):
        head = line[:2]
        if head == "v ":
            vertices.append(line[2:])
        elif head == "f ":
            if "-" in line:
                found.before[len(faces)] = (len(vertices), len(found.coordinates))
            faces.append(line[2:])
        elif line:
            _sort_other(line.strip(), found)
    found.vertices = _without_comments(vertices)
    found.faces = _without_comments(faces)
    found.coordinates = _without_comments(found.coordinates)
    return found


def _sort_other(line: str, found: _Lines) -> None:
    key, _, rest = line.partition(" ")
    if key == "vt":
        found.coordinates.append(rest)
    elif key == "usemtl":
        found.materials[len(found.faces)] = rest.strip()
    elif key == "mtllib":
        found.libraries.append(rest.strip())
    elif key == "v":  # indented
        found.vertices.append(rest)
    elif key == "f":
        found.before[len(found.faces)] = (len(found.vertices), len(found.coordinates))
        found.faces.append(rest)


def _without_comments(rows: list[str]) -> list[str]:
    return [row.partition("#")[0] for row in rows] if any("#" in row for row in rows) else rows


def _table(rows: list[str], least: int) -> np.ndarray:
    """Return rows of numbers as `[rows, width]`, cut to the shortest row."""
    width = len(rows[0].split())
    values = numbers_in(" ".join(rows))
    if len(values) != width * len(rows):
        pieces = [row.split() for row in rows]
        width = min(map(len, pieces))
        values = numbers_in(" ".join(word for piece in pieces for word in piece[:width]))
    if width < least:
        raise ValueError(f"it has a point of {width} numbers")
    return values.reshape(len(rows), width)


def _references(faces: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the references `[corners, 2]` of all faces to vertices and texture coordinates (0 is none), and how many
    corners each face has."""
    counts = np.array([len(face.split()) for face in faces], np.int64)
    joined = " ".join(faces)
    num_corners = int(counts.sum())
    if "/" not in joined:
        numbers = numbers_in(joined, np.int64)
        return np.stack([numbers, np.zeros_like(numbers)], axis=1), counts
    slashes = np.array([face.count("/") for face in faces], np.int64)
    for width in (2, 3):  # v/vt, and v/vt/vn or v//vn, which is v/0/vn; a face has one form (Wavefront's appendix B1)
        if np.array_equal(slashes, counts * (width - 1)):
            table = numbers_in(joined.replace("//", "/0/").replace("/", " "), np.int64)
            if table.size == width * num_corners:
                return table.reshape(-1, width)[:, :2], counts
    split = [(*corner.split("/"), "")[:2] for corner in joined.split()]
    return np.array([[int(vertex), int(point or 0)] for vertex, point in split], np.int64), counts


def _resolved(references: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return indices from 0 on; those that are no reference (0), or count back too far, are -1."""
    return np.where(references > 0, references - 1, np.where(references < 0, np.maximum(before + references, -1), -1))


def _materials(lines: _Lines, beside: Beside) -> dict[str, Any]:
    """Return the materials of the MTL files that are there; a missing one leaves its faces without colour."""
    from trimesh.exchange.obj import parse_mtl  # a second to import, and most models read no meshes
    from trimesh.visual.material import SimpleMaterial

    found: dict[str, Any] = {}
    for library in lines.libraries:
        for text in dict.fromkeys((library, *library.split())):
            try:
                content = beside(text)
            except OSError:
                continue
            parsed = parse_mtl(content, resolver=_Resolver(beside))
            found |= {name: SimpleMaterial(**_without_others(settings)) for name, settings in parsed.items()}
            break
    return found


class _Resolver:
    """What trimesh asks for the pictures of materials."""

    def __init__(self, beside: Beside) -> None:
        self._beside = beside

    def get(self, name: str) -> bytes:
        """Return the content of a picture; options may stand before its name (`-s 1 1 1 wood.png`).

        Raises what Pillow raises for another format than those that are read as pictures.
        """
        try:
            content = self._beside(name)
        except OSError:
            content = self._beside(name.split()[-1])
        open_picture(content).close()  # trimesh would open any format, of which some start other programs
        return content


def _without_others(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a material without a picture that Pillow took for another format than `open_picture`."""
    image = settings.get("image")
    is_known = image is None or image.format in (*PICTURE_FORMATS, "MPO")  # MPO is JPEG with more pictures after it
    return {name: value for name, value in settings.items() if name != "image" or is_known}


def _before(lines: _Lines, counts: np.ndarray) -> np.ndarray:
    """Return how many `v` and `vt` stand before the face of each corner, `[corners, 2]`."""
    before = np.zeros((len(counts), 2), np.int64)
    if lines.before:
        before[[*lines.before]] = [*lines.before.values()]
    return np.repeat(before, counts, axis=0)


def _kinds(lines: _Lines, names: list[str]) -> np.ndarray:
    """Return the number of each face's material, -1 where it has none that is known."""
    kinds = np.full(len(lines.faces), -1)
    for first, name in lines.materials.items():
        kinds[first:] = names.index(name) if name in names else -1
    return kinds


def _with_materials(
    vertices: np.ndarray,
    vertex_colors: np.ndarray | None,
    corners: np.ndarray,
    points: np.ndarray,
    kinds: np.ndarray,
    triangles: np.ndarray,
    lines: _Lines,
    materials: list[Any],
) -> Mesh:
    """Return the mesh with the colour of its material at every corner; a vertex with two colours becomes two."""
    coordinates = _table(lines.coordinates, 1) if lines.coordinates else np.zeros((0, 2))
    coordinates = np.pad(coordinates, ((0, 0), (0, max(0, 2 - coordinates.shape[1]))))[:, :2]
    points = np.where(points < len(coordinates), points, -1)
    picked = triangles.reshape(-1)
    keys = (corners[picked] * (len(coordinates) + 1) + points[picked] + 1) * (len(materials) + 1) + kinds[picked] + 1
    _, first, faces = np.unique(keys, return_index=True, return_inverse=True)
    at = picked[first]
    colors = np.full((len(at), 3), DEFAULT_COLOR, np.float32) if vertex_colors is None else vertex_colors[corners[at]]
    for number, material in enumerate(materials):
        own = kinds[at] == number
        if material.image is None:
            if vertex_colors is None:
                colors[own] = np.asarray(material.main_color[:3], np.float32) / 255
            continue
        colors[own] = np.asarray(material.main_color[:3], np.float32) / 255
        has_point = own & (points[at] >= 0)
        image = material.image.convert("RGB")
        colors[has_point] = colors_at(image, coordinates[points[at[has_point]]] * [1, -1] + [0, 1])
    return Mesh(vertices[corners[at]], faces.reshape(-1, 3), colors)
