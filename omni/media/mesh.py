"""3D: meshes and point clouds from OBJ, PLY, STL, GLB, OFF, XYZ and NPY, and points on their surface.

V vertices, F faces, N points. Coordinates keep the file's unit until `to_unit_sphere`.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omni.media.errors import MediaError
from omni.media.gltf import read_gltf
from omni.media.item import Media
from omni.media.large_pictures import one_by_one
from omni.media.loading import loader
from omni.media.mesh_files import files_beside
from omni.media.npy import read_npy
from omni.media.obj import read_obj
from omni.media.off import read_off
from omni.media.ply import read_ply
from omni.media.point_columns import cloud_from_array, read_xyz
from omni.media.source import check_options, content_of, describe_source, option, what_it_looks_like
from omni.media.surface import Mesh, join

MESH_EXTENSIONS = (".obj", ".ply", ".stl", ".glb", ".gltf", ".off", ".xyz", ".npy")

_KINDS = tuple(extension[1:] for extension in MESH_EXTENSIONS)


@dataclass(frozen=True)
class PointCloud:
    """`points` `[N, 3]`, float32 in the unit sphere, else of the type of the vertices; `colors` float32 `[N, 3]`
    in 0-1, None where there are none."""

    points: np.ndarray
    colors: np.ndarray | None = None


@loader
@one_by_one
def load_mesh(source: Media | str | Path | bytes | np.ndarray) -> Mesh:
    """Load a mesh or a point cloud. Colours come from vertices, materials or textures, if there are any.

    Args:
        source: a file; an array `[N, 3]` of points or `[N, 6]` of points with colours (0-1 or 0-255); or bytes, for
            which the item's option `format` ("obj", "stl", ...) says what they are, unless they begin like PLY, GLB,
            OFF or NPY.

    The item's option `columns` names the columns of arrays, XYZ and NPY (`x y z nx ny nz`). Without it, and without
    names in the file, columns that could be colours or normals are refused.

    Raises:
        MediaError: the file is missing, damaged or of another kind; there are no vertices; coordinates are not finite;
            the columns of points are not known.
    """
    name = describe_source(source)
    check_options(source, ("format", "columns"))
    content: Any = content_of(source)
    columns = option(source, "columns", None)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if isinstance(content, np.ndarray):
        return _checked(cloud_from_array(content, columns, name), name)
    if not isinstance(content, str | bytes):
        raise MediaError(name, "expected a mesh or points: a file, bytes or an array")
    kind = str(option(source, "format", None) or _kind(content, name)).lstrip(".").lower()
    if kind not in _KINDS:
        raise MediaError(name, f"the option format is {kind!r}; allowed: {', '.join(_KINDS)}")
    if kind == "npy":
        return _checked(cloud_from_array(read_npy(content, name), columns, name), name)
    try:
        mesh = read_xyz(content, columns, name) if kind == "xyz" else _read(content, kind, name)
    except MediaError:
        raise
    except Exception as error:  # parsers of broken files raise nearly anything
        looks = what_it_looks_like(content) if kind == "glb" else ""
        raise MediaError(name, f"cannot be read as {kind.upper()} ({error}){looks}") from error
    if mesh is None or not len(mesh.vertices):
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
    points = (mesh.vertices[faces] * weights).sum(axis=1).astype(mesh.vertices.dtype)
    colors = None if mesh.colors is None else (mesh.colors[faces] * weights).sum(axis=1).astype(np.float32)
    return PointCloud(points, colors)


@loader
@one_by_one
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
    signatures = ((b"ply", "ply"), (b"glTF", "glb"), (b"OFF", "off"), (b"COFF", "off"), (b"\x93NUMPY", "npy"))
    for signature, kind in signatures:
        if content.startswith(signature):
            return kind
    raise MediaError(
        name, "the kind of 3D file is not known from its bytes; give the option 'format' (obj, stl, xyz, ...)"
    )


def _read(content: str | bytes, kind: str, name: str) -> Mesh | None:
    beside = files_beside(content if isinstance(content, str) else None)
    data = content if isinstance(content, bytes) else Path(content).read_bytes()
    if kind == "ply":
        return read_ply(data, beside, name)
    if kind in ("glb", "gltf"):
        return read_gltf(data, beside, name)
    if kind == "stl":
        return _read_stl(data)
    text = data.decode("utf-8", errors="replace")
    return read_off(text) if kind == "off" else read_obj(text, beside)


def _read_stl(data: bytes) -> Mesh | None:
    from trimesh.exchange.stl import load_stl  # a second to import, and most models read no meshes

    loaded = load_stl(io.BytesIO(data))
    solids = loaded.get("geometry", {"": loaded}).values()
    return join([Mesh(np.asarray(solid["vertices"]), np.asarray(solid["faces"])) for solid in solids])


def _checked(mesh: Mesh, name: str) -> Mesh:
    if not np.isfinite(mesh.vertices).all():
        raise MediaError(name, "holds NaN or infinite coordinates")
    if mesh.faces is not None and len(mesh.faces) and (mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices)):
        raise MediaError(name, f"a face names a vertex that is not there (it has {len(mesh.vertices)})")
    return mesh


def _areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces].astype(np.float64)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
