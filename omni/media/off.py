"""OFF: meshes of Geomview and ModelNet, with or without colours (COFF) and normals (NOFF). V vertices, F faces."""

import re

import numpy as np

from omni.media.mesh_files import numbers_in
from omni.media.surface import Mesh, colors_of_faces, triangulate, unit_colors

_HEADER = re.compile(r"\s*(ST)?(C)?(N)?(4)?OFF(?![A-Za-z])\s*")


def read_off(text: str) -> Mesh:
    """Read a mesh, or a cloud where there are no faces.

    Raises:
        ValueError: it is damaged, or a binary or n-dimensional OFF file.
    """
    text = re.sub(r"#.*", "", text.lstrip("\ufeff"))
    match = _HEADER.match(text)
    if match is None:
        raise ValueError("it does not begin with OFF")
    lines = [line for line in text[match.end() :].splitlines() if line.strip()]
    if not lines or re.fullmatch(r"[-\s\d]+", lines[0]) is None:
        raise ValueError("the numbers of its vertices and faces are missing")
    num_vertices, num_faces = (int(word) for word in lines[0].split()[:2])
    if not 0 <= num_vertices + num_faces <= len(lines) - 1 or min(num_vertices, num_faces) < 0:
        raise ValueError(f"it ends before its {num_vertices} vertices and {num_faces} faces; it was cut off")
    rows = lines[1 : 1 + num_vertices]
    vertices, colors = _vertices(rows, *(group is not None for group in match.groups()))
    corners, counts, of_faces = _faces(lines[1 + num_vertices : 1 + num_vertices + num_faces])
    triangles = triangulate(vertices, corners, counts)
    faces = corners[triangles]
    if not len(faces):
        return Mesh(vertices, None, colors)
    if colors is None and of_faces is not None:
        polygon = np.searchsorted(np.cumsum(counts), triangles[:, 0], side="right")
        colors = colors_of_faces(len(vertices), faces, of_faces[polygon])
    return Mesh(vertices, faces, colors)


def _vertices(
    rows: list[str], has_coordinates: bool, has_colors: bool, has_normals: bool, has_weight: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return vertices and colours. A row is x y z, then, if they are there, weight, normal, colour, coordinates."""
    width = len(rows[0].split()) if rows else 0
    table = numbers_in(" ".join(rows))
    if width < 3 or table.size != width * len(rows):
        raise ValueError("its vertices are not all of as many numbers")
    table = table.reshape(len(rows), width)
    vertices = table[:, :3] / table[:, 3:4] if has_weight else table[:, :3]
    first = 3 + has_weight + 3 * has_normals
    if not has_colors or width - first - 2 * has_coordinates < 3:
        return vertices, None
    return vertices, unit_colors(table[:, first : first + 3])


def _faces(rows: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the corners of all faces, how many each has, and the colours of faces if all have them."""
    table = numbers_in(" ".join(rows))
    if table.size == 4 * len(rows) and (table[::4] == 3).all():  # triangles alone
        return table.reshape(-1, 4)[:, 1:].reshape(-1).astype(np.int64), np.full(len(rows), 3), None
    corners: list[str] = []
    counts, colors = [], []
    for row in rows:
        words = row.split()
        count = int(words[0])
        if count < 0 or len(words) <= count:
            raise ValueError(f"a face of {count} corners has {len(words) - 1}")
        corners += words[1 : count + 1]
        counts.append(count)
        if len(words) - count - 1 in (3, 4):
            colors.append(words[count + 1 : count + 4])
    indices = np.array(corners, dtype=np.int64)
    if not colors or len(colors) != len(counts):
        return indices, np.array(counts, np.int64), None
    return indices, np.array(counts, np.int64), unit_colors(np.array(colors, np.float64))
