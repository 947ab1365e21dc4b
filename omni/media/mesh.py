"""3D: meshes and point clouds from OBJ, PLY, STL, GLB, OFF, XYZ and NPY, and points on their surface.

V vertices, F faces, N points. Coordinates keep the file's unit until `to_unit_sphere`.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.source import content_of, describe_source, option, what_it_looks_like

MESH_EXTENSIONS = (".obj", ".ply", ".stl", ".glb", ".gltf", ".off", ".xyz", ".npy")

_DEFAULT_COLOR = 0.6  # grey, for the parts without a colour of a mesh that has colours elsewhere


@dataclass(frozen=True)
class Mesh:
    """`vertices` float32 `[V, 3]`; `faces` int64 `[F, 3]`, None for a point cloud; `colors` of the vertices, float32
    `[V, 3]` in 0-1, None where the file has none."""

    vertices: np.ndarray
    faces: np.ndarray | None = None
    colors: np.ndarray | None = None


@dataclass(frozen=True)
class PointCloud:
    """`points` float32 `[N, 3]`; `colors` float32 `[N, 3]` in 0-1, None where there are none."""

    points: np.ndarray
    colors: np.ndarray | None = None


def load_mesh(source: Media | str | Path | bytes | np.ndarray) -> Mesh:
    """Load a mesh or a point cloud. Colours come from vertices, materials or textures, if there are any.

    Args:
        source: a file; an array `[N, 3]` of points or `[N, 6]` of points with colours (0-1 or 0-255); or bytes, for
            which the item's option `format` ("obj", "stl", ...) says what they are, unless they begin like PLY, GLB or
            OFF.

    Raises:
        MediaError: the file is missing, damaged or of another kind; there are no vertices; coordinates are not finite.
    """
    name = describe_source(source)
    content: Any = content_of(source)
    if isinstance(content, np.ndarray):
        return _from_points(content, name)
    if not isinstance(content, str | bytes):
        raise MediaError(name, "expected a mesh or points: a file, bytes or an array")
    if isinstance(content, str) and Path(content).suffix.lower() == ".npy":
        return _from_points(_load_npy(content, name), name)
    kind = str(option(source, "format", None) or _kind(content, name)).lstrip(".").lower()
    looks = what_it_looks_like(content) if kind in ("glb",) else ""
    try:
        file: Any = io.BytesIO(content) if isinstance(content, bytes) else content
        scene = trimesh.load_scene(file, file_type=kind, process=False)
        mesh = _joined(
            [geometry for geometry in scene.dump() if isinstance(geometry, trimesh.Trimesh | trimesh.PointCloud)]
        )
    except Exception as error:  # parsers of broken files raise nearly anything
        raise MediaError(name, f"cannot be read as {kind.upper()} ({error}){looks}") from error
    if mesh is None:
        raise MediaError(
            name, f"has no vertices; it is empty or not a {kind.upper()} file{what_it_looks_like(content)}"
        )
    return _checked(mesh, name)


def sample_points(mesh: Mesh, num_points: int, seed: int = 0) -> PointCloud:
    """Sample `num_points` points spread uniformly over the surface, the same for the same seed.

    A point cloud gives a random part of its points or, if it has fewer, all of them and some again.

    Raises:
        ValueError: `num_points` is less than 1.
    """
    if num_points < 1:
        raise ValueError(f"num_points must be at least 1, got {num_points}")
    generator = np.random.default_rng(seed)
    areas = None if mesh.faces is None else _areas(mesh.vertices, mesh.faces)
    if mesh.faces is None or areas is None or areas.sum() <= 0:
        count = len(mesh.vertices)
        rounds = [generator.permutation(count) for _ in range(-(-num_points // count))]
        chosen = np.concatenate(rounds)[:num_points]
        return PointCloud(mesh.vertices[chosen], None if mesh.colors is None else mesh.colors[chosen])
    cumulated = np.cumsum(areas)
    picked = np.searchsorted(cumulated, generator.random(num_points) * cumulated[-1], side="right")
    faces = mesh.faces[np.minimum(picked, len(areas) - 1)]
    # Uniform in a triangle: Osada et al., Shape Distributions (2002), section 4.1.
    root, along = np.sqrt(generator.random((num_points, 1))), generator.random((num_points, 1))
    weights = np.concatenate([1 - root, root * (1 - along), root * along], axis=1)[:, :, None]
    points = (mesh.vertices[faces] * weights).sum(axis=1).astype(np.float32)
    colors = None if mesh.colors is None else (mesh.colors[faces] * weights).sum(axis=1).astype(np.float32)
    return PointCloud(points, colors)


def load_points(
    source: Media | str | Path | bytes | np.ndarray, num_points: int = 8192, *, seed: int = 0, unit_sphere: bool = True
) -> PointCloud:
    """Load a mesh or cloud as `num_points` points, by default centred and scaled into the unit sphere.

    Raises:
        MediaError: see `load_mesh`.
    """
    cloud = sample_points(load_mesh(source), num_points, seed)
    return PointCloud(to_unit_sphere(cloud.points), cloud.colors) if unit_sphere else cloud


def to_unit_sphere(points: np.ndarray) -> np.ndarray:
    """Move points `[N, 3]` so that their mean is 0, and scale them so that the farthest has norm 1 (PointNet's
    normalisation)."""
    centred = points - points.mean(axis=0, dtype=np.float64)
    farthest = np.linalg.norm(centred, axis=1).max()
    return (centred / (farthest if farthest > 0 else 1.0)).astype(np.float32)


def _kind(content: str | bytes, name: str) -> str:
    if isinstance(content, str):
        suffix = Path(content).suffix.lower()
        if suffix not in MESH_EXTENSIONS:
            raise MediaError(name, f"unknown type {suffix!r} of 3D file; known are {' '.join(MESH_EXTENSIONS)}")
        return suffix
    for signature, kind in ((b"ply", "ply"), (b"glTF", "glb"), (b"OFF", "off")):
        if content.startswith(signature):
            return kind
    raise MediaError(
        name, "the kind of 3D file is not known from its bytes; give the option 'format' (obj, stl, xyz, ...)"
    )


def _load_npy(path: str, name: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise MediaError(name, f"cannot be read as NPY ({error})") from error


def _from_points(array: np.ndarray, name: str) -> Mesh:
    if array.ndim != 2 or array.shape[1] not in (3, 6) or len(array) == 0 or array.dtype.kind not in "fiu":
        raise MediaError(name, f"points must be an array [N, 3], or [N, 6] with colours, got {list(array.shape)}")
    colors = array[:, 3:].astype(np.float32) if array.shape[1] == 6 else None
    if colors is not None and colors.max() > 1:
        colors = colors / 255
    return _checked(Mesh(array[:, :3].astype(np.float32), None, colors), name)


def _joined(parts: list[Any]) -> Mesh | None:
    """Join all parts of a scene into one mesh, or into a cloud only if no part has faces."""
    parts = [part for part in parts if len(part.vertices)]
    with_faces = [part for part in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    parts = with_faces or parts
    if not parts:
        return None
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    colors = [_vertex_colors(part) for part in parts]
    joined_colors = None
    if any(color is not None for color in colors):
        grey = [np.full((len(part.vertices), 3), _DEFAULT_COLOR, np.float32) for part in parts]
        joined_colors = np.concatenate([grey[i] if color is None else color for i, color in enumerate(colors)])
    faces = np.concatenate([part.faces + offsets[i] for i, part in enumerate(parts)]) if with_faces else None
    vertices = np.concatenate([part.vertices for part in parts]).astype(np.float32)
    return Mesh(vertices, None if faces is None else faces.astype(np.int64), joined_colors)


def _vertex_colors(part: Any) -> np.ndarray | None:
    if isinstance(part, trimesh.PointCloud):
        colors = np.asarray(part.colors)
    elif part.visual is None or not part.visual.defined:
        return None
    elif part.visual.kind == "texture":
        # None without coordinates or, as for materials of one colour, without a picture
        textured = None if part.visual.uv is None else part.visual.material.to_color(part.visual.uv)
        if textured is None or np.ndim(textured) == 1:
            textured = np.tile(part.visual.material.main_color, (len(part.vertices), 1))
        colors = np.asarray(textured)
    else:
        colors = np.asarray(part.visual.vertex_colors)
    is_complete = colors.ndim == 2 and len(colors) == len(part.vertices)
    return colors[:, :3].astype(np.float32) / 255 if is_complete else None


def _checked(mesh: Mesh, name: str) -> Mesh:
    if not np.isfinite(mesh.vertices).all():
        raise MediaError(name, "holds NaN or infinite coordinates")
    if mesh.faces is not None and (mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices)):
        raise MediaError(name, f"a face names a vertex that is not there (it has {len(mesh.vertices)})")
    return mesh


def _areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces].astype(np.float64)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
