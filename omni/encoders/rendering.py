"""Render a mesh or point cloud from all sides, in NumPy: no window system, no OpenGL, the same bits everywhere.

Shapes: V vertices, F faces, P pairs of a face and a pixel that it may cover, S side of a picture in pixels.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from omni.media.mesh import Mesh

_OVERSAMPLING = 2  # pixels each way per pixel of the result, for smooth edges
_MOST_PAIRS = 2_000_000  # in one step, to bound memory
_AMBIENT = 0.35  # share of light that comes from everywhere, so that nothing is black
_GREY = 0.75  # brightness of a surface without a colour of its own
_FILL = 0.95  # share of the picture that the object's bounding sphere takes


def render_views(mesh: Mesh, num_views: int, size: int, elevation: float = 30.0, up: str = "y") -> list[Image.Image]:
    """Return RGB pictures [size, size] on white, from `num_views` directions evenly around the object.

    elevation: angle of the camera over the horizon, in degrees. up: the axis that points up, "x", "y" or "z".
    The projection is parallel. A mesh is lit from near the camera; a point cloud without colours is darker where it is
    nearer.
    """
    vertices = _upright(_centred(mesh.vertices), up)
    resolution = size * _OVERSAMPLING
    pictures = []
    for azimuth in np.arange(num_views) * 360.0 / num_views:
        seen = vertices @ _camera(azimuth, elevation).T
        pixels = _to_pixels(seen, resolution)
        if mesh.faces is None or len(mesh.faces) == 0:
            colors = _depth_colors(seen) if mesh.colors is None else mesh.colors
            canvas = _splat(pixels, colors, resolution)
        else:
            canvas = _rasterise(pixels, mesh.faces, _lambert(seen, mesh.faces), mesh.colors, resolution)
        averaged = canvas.reshape(size, _OVERSAMPLING, size, _OVERSAMPLING, 3).mean(axis=(1, 3))
        pictures.append(Image.fromarray((averaged * 255).round().astype(np.uint8)))
    return pictures


def _centred(vertices: np.ndarray) -> np.ndarray:
    """Move and scale vertices into the unit sphere around the middle of the bounding box."""
    points = vertices.astype(np.float64)
    points = points - (points.min(axis=0) + points.max(axis=0)) / 2
    radius = np.linalg.norm(points, axis=1).max()
    return points / (radius if radius > 0 else 1.0)


def _upright(points: np.ndarray, up: str) -> np.ndarray:
    """Turn (never mirror) the axes so that y points up."""
    return {"x": points[:, [1, 0, 2]] * [-1, 1, 1], "y": points, "z": points[:, [0, 2, 1]] * [1, 1, -1]}[up]


def _camera(azimuth: float, elevation: float) -> np.ndarray:
    """Return the rotation [3, 3] into the camera's axes: right, up, towards the camera."""
    a, e = np.radians(azimuth), np.radians(elevation)
    around = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    down = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return down @ around


def _to_pixels(seen: np.ndarray, resolution: int) -> np.ndarray:
    """Turn camera axes into column, row and depth (small is near) [V, 3]."""
    half = resolution / 2
    return np.stack([half + seen[:, 0] * half * _FILL, half - seen[:, 1] * half * _FILL, -seen[:, 2]], axis=1)


def _lambert(seen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the brightness [F] of faces lit from above right behind the camera; both sides are lit alike."""
    first, second, third = (seen[faces[:, corner]] for corner in range(3))
    normals = np.cross(second - first, third - first)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    light = np.array([0.35, 0.5, 0.79])
    return _AMBIENT + (1 - _AMBIENT) * np.abs(normals @ (light / np.linalg.norm(light)))


def _depth_colors(seen: np.ndarray) -> np.ndarray:
    nearness = (seen[:, 2] + 1) / 2
    return np.repeat(0.8 - 0.7 * nearness[:, None], 3, axis=1)


def _rasterise(
    pixels: np.ndarray, faces: np.ndarray, brightness: np.ndarray, colors: np.ndarray | None, resolution: int
) -> np.ndarray:
    """Return the colours [S, S, 3] of the nearest face at each pixel's centre; white where there is none."""
    corners = pixels[faces]
    visible = np.abs(_double_area(corners)) > 1e-12  # a face seen from its edge covers nothing
    corners, faces, brightness = corners[visible], faces[visible], brightness[visible]
    planes = _barycentric_planes(corners)
    canvas = np.ones((resolution * resolution, 3))
    depth = np.full(resolution * resolution, np.inf)
    depth_planes = (planes * corners[:, :, 2:]).sum(axis=1)
    for face, column, row in _covered_pixels(corners, planes, resolution):
        pixel = row * resolution + column
        at = np.stack([column + 0.5, row + 0.5, np.ones(len(face))], axis=1)
        distance = (depth_planes[face] * at).sum(axis=1)
        np.minimum.at(depth, pixel, distance)
        nearest = distance == depth[pixel]
        face, pixel = face[nearest], pixel[nearest]
        base: np.ndarray | float = _GREY
        if colors is not None:
            weights = (planes[face] * at[nearest, None]).sum(axis=2, keepdims=True)
            base = (colors[faces[face]] * weights).sum(axis=1)
        canvas[pixel] = np.clip(base * brightness[face, None], 0, 1)
    return canvas.reshape(resolution, resolution, 3)


def _double_area(corners: np.ndarray) -> np.ndarray:
    first, second = (corners[:, corner, :2] - corners[:, 0, :2] for corner in (1, 2))
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _barycentric_planes(corners: np.ndarray) -> np.ndarray:
    """Return coefficients [F, corner, 3] whose product with (x, y, 1) is the corner's weight at that point."""
    area = _double_area(corners)
    (ax, ay), (bx, by), (cx, cy) = (corners[:, corner, :2].T for corner in range(3))
    second = np.stack([(cy - ay) / area, (ax - cx) / area, (cx * ay - ax * cy) / area], axis=1)
    third = np.stack([(ay - by) / area, (bx - ax) / area, (ax * by - bx * ay) / area], axis=1)
    return np.stack([np.array([0.0, 0.0, 1.0]) - second - third, second, third], axis=1)


def _covered_pixels(
    corners: np.ndarray, planes: np.ndarray, resolution: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield face, column and row [P] of all pixels whose centre lies in a face: row by row, from edge to edge."""
    top = np.ceil(corners[:, :, 1].min(axis=1) - 0.5).clip(0, resolution).astype(np.int64)
    bottom = np.floor(corners[:, :, 1].max(axis=1) - 0.5).clip(-1, resolution - 1).astype(np.int64)
    face, offset = _repeated(np.maximum(bottom - top + 1, 0))
    row = top[face] + offset
    slope = planes[face, :, 0]
    rest = planes[face, :, 1] * (row + 0.5)[:, None] + planes[face, :, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -rest / slope  # where a weight changes its sign
    left = np.where(slope > 0, crossing, -np.inf).max(axis=1)
    right = np.where(slope < 0, crossing, np.inf).min(axis=1)
    # The edges are moved out by a trace, so that rounding leaves no gaps between neighbours.
    first = np.ceil(left - 0.5 - 1e-9).clip(0, resolution).astype(np.int64)
    last = np.floor(right - 0.5 + 1e-9).clip(-1, resolution - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    for part in np.split(np.arange(len(counts)), _part_ends(counts)):
        span, offset = _repeated(counts[part])
        yield face[part][span], first[part][span] + offset, row[part][span]


def _repeated(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat each index as often as its count, and number the repetitions: [2, 1] -> [0, 0, 1], [0, 1, 0]."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)


def _part_ends(counts: np.ndarray) -> np.ndarray:
    """Return where to split so that the counts of a part add up to about `_MOST_PAIRS`."""
    return np.flatnonzero(np.diff(np.cumsum(counts) // _MOST_PAIRS)) + 1


def _splat(pixels: np.ndarray, colors: np.ndarray, resolution: int) -> np.ndarray:
    """Draw points as squares, the nearest in front; the fewer the points, the larger the squares."""
    radius = max(1, round(resolution / np.sqrt(len(pixels)) / 2))
    steps = np.arange(-radius, radius + 1)
    order = np.argsort(-pixels[:, 2], kind="stable")  # far to near: what is written later stays
    column = (pixels[order, 0].astype(np.int64)[:, None, None] + steps[None, :, None]).clip(0, resolution - 1)
    row = (pixels[order, 1].astype(np.int64)[:, None, None] + steps[None, None, :]).clip(0, resolution - 1)
    canvas = np.ones((resolution, resolution, 3))
    color = np.broadcast_to(colors[order][:, None, None, :], (len(order), len(steps), len(steps), 3))
    canvas[np.broadcast_to(row, color.shape[:3]), np.broadcast_to(column, color.shape[:3])] = color
    return canvas
