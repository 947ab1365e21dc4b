"""What all readers of 3D files share: the mesh, triangles of polygons, and colours in 0-1.

V vertices, F faces. Coordinates stay float64 until they are centred: a survey's metres have more digits than float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEFAULT_COLOR = 0.6  # grey, for the parts without a colour of a mesh that has colours elsewhere

_TOLERANCE = 0.01  # of the scale: interpolated colours overshoot a little
_MOST_CORNERS = 1000  # of a polygon that is not convex; its triangles take the square of them


@dataclass(frozen=True)
class Mesh:
    """`vertices` float64 `[V, 3]`; `faces` int64 `[F, 3]`, None for a point cloud; `colors` of the vertices, float32
    `[V, 3]` in 0-1, None where the file has none."""

    vertices: np.ndarray
    faces: np.ndarray | None = None
    colors: np.ndarray | None = None


def join(parts: Sequence[Mesh]) -> Mesh | None:
    """Join parts into one mesh, or into a cloud only if no part has faces; None if there are no vertices."""
    parts = [part for part in parts if len(part.vertices)]
    with_faces = [part for part in parts if part.faces is not None and len(part.faces)]
    parts = with_faces or parts
    if not parts:
        return None
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    colors = None
    if any(part.colors is not None for part in parts):
        grey = [np.full((len(part.vertices), 3), DEFAULT_COLOR, np.float32) for part in parts]
        colors = np.concatenate(
            [plain if part.colors is None else part.colors for part, plain in zip(parts, grey, strict=True)]
        )
    shifted = [part.faces + offset for part, offset in zip(parts, offsets, strict=False) if part.faces is not None]
    faces = np.concatenate(shifted).astype(np.int64) if with_faces else None
    return Mesh(np.concatenate([part.vertices for part in parts]).astype(np.float64), faces, colors)


def unit_colors(values: np.ndarray) -> np.ndarray:
    """Return colours as float32 in 0-1, by one rule for the whole item.

    8 and 16 bits without a sign are of their type's range. Of other integers 255 and 65535 are the range, of floats 1,
    255 and 65535: the least that holds all values.

    Raises:
        ValueError: there are negative values, or some beyond 65535.
    """
    if values.dtype in (np.uint8, np.uint16):
        return (values / np.float64(np.iinfo(values.dtype).max)).astype(np.float32)
    largest, least = float(values.max(initial=0)), float(values.min(initial=0))
    ranges = (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535)
    scale = next((scale for scale in ranges if largest <= scale * (1 + _TOLERANCE)), None)
    if scale is None or not least >= -_TOLERANCE * scale:
        raise ValueError(f"colours must be in 0-1, 0-255 or 0-65535, got {least:g} to {largest:g}")
    return (values / scale).clip(0, 1).astype(np.float32)


def colors_of_faces(num_vertices: int, faces: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return the mean colour `[V, 3]` of the faces around each vertex, from the colours `[F, 3]` of faces."""
    total, count = np.zeros((num_vertices, 3)), np.zeros((num_vertices, 1))
    for corner in range(faces.shape[1]):
        np.add.at(total, faces[:, corner], colors)
        np.add.at(count, faces[:, corner], 1)
    return np.where(count > 0, total / np.maximum(count, 1), DEFAULT_COLOR).astype(np.float32)


def triangulate(vertices: np.ndarray, corners: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return triangles `[F, 3]` of polygons as places in `corners`, in the order of the polygons.

    Args:
        vertices: `[V, 3]`.
        corners: the vertices of all polygons, one polygon after the other.
        counts: the number of corners of each; those with less than three give nothing.

    Raises:
        ValueError: a corner is no vertex, or a polygon is too large.
    """
    if len(corners) and not 0 <= corners.min() <= corners.max() < len(vertices):
        raise ValueError(f"a face names a vertex that is not there (it has {len(vertices)})")
    starts = np.cumsum(counts) - counts
    pieces = [np.zeros((0, 3), np.int64)]
    for count in np.unique(counts[counts >= 3]):
        places = starts[counts == count][:, None] + np.arange(count)
        pieces.append(places if count == 3 else _split(vertices, corners, places))
    triangles = np.concatenate(pieces)
    if len(pieces) <= 2:
        return triangles
    return triangles[np.argsort(np.searchsorted(starts, triangles.min(axis=1), side="right"), kind="stable")]


def strip_triangles(strip: np.ndarray) -> np.ndarray:
    """Return the triangles `[F, 3]` of a strip, every second one turned round so that all face the same side."""
    if len(strip) < 3:
        return np.zeros((0, 3), np.int64)
    faces = np.stack([strip[:-2], strip[1:-1], strip[2:]], axis=1).astype(np.int64)
    faces[1::2] = faces[1::2, [1, 0, 2]]
    return faces


def _split(vertices: np.ndarray, corners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the triangles of polygons with equally many corners, given by their places `[P, n]`."""
    count = places.shape[1]
    points = vertices[corners[places]]
    points = points - points[:, :1]
    normals = np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)  # Newell's; twice the area
    edges = np.roll(points, -1, axis=1) - points
    turns = (np.cross(np.roll(edges, 1, axis=1), edges) * normals[:, None]).sum(axis=2)
    is_reflex = turns < -1e-9 * (normals**2).sum(axis=1, keepdims=True)
    if count == 4:  # through the corner that points inwards: it is on the diagonal 0-2, or on 1-3
        shift = (is_reflex[:, 1] | is_reflex[:, 3]).astype(np.int64)[:, None]
        places = np.take_along_axis(places, (np.arange(4) + shift) % 4, axis=1)
    fans = np.stack([np.stack([places[:, 0], places[:, i], places[:, i + 1]], axis=1) for i in range(1, count - 1)], 1)
    if count > 4:
        for index in np.flatnonzero(is_reflex.any(axis=1)):
            fans[index] = places[index][_clip_ears(points[index], normals[index])]
    return fans.reshape(-1, 3)


def _clip_ears(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the triangles `[n - 2, 3]` of one polygon `[n, 3]` that need not be convex (Meisters 1975)."""
    count = len(points)
    if count > _MOST_CORNERS:
        raise ValueError(f"has a polygon of {count} corners that is not convex; at most {_MOST_CORNERS} are split")
    axis = int(np.abs(normal).argmax())
    flat = np.delete(points, axis, axis=1) * [1.0, np.sign(normal[axis]) * (-1.0 if axis == 1 else 1.0)]
    rest, triangles = list(range(count)), []
    place, misses = 0, 0
    while len(rest) > 3:
        before, at, after = (rest[(place + step) % len(rest)] for step in (-1, 0, 1))
        # After a round without an ear the polygon crosses itself: any corner is as good.
        if misses > len(rest) or _is_ear(flat, before, at, after, np.array(rest)):
            triangles.append((before, at, after))
            del rest[place % len(rest)]
            misses = 0
        else:
            place, misses = place + 1, misses + 1
        place %= len(rest)
    return np.array([*triangles, rest])


def _is_ear(flat: np.ndarray, before: int, at: int, after: int, rest: np.ndarray) -> bool:
    a, b, c = flat[before], flat[at], flat[after]
    if _turn(a, b, c) <= 0:
        return False
    others = flat[rest[(rest != before) & (rest != at) & (rest != after)]]
    inside = (_turn(a, b, others) > 0) & (_turn(b, c, others) > 0) & (_turn(c, a, others) > 0)
    on_diagonal = (_turn(c, a, others) == 0) & (_turn(a, b, others) > 0) & (_turn(b, c, others) > 0)
    return not (inside | on_diagonal).any()


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
