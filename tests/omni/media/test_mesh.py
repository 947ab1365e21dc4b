"""3D files become vertices, faces and colours; points are uniform on the surface and the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from omni.media.errors import MediaError
from omni.media.mesh import Mesh, load_mesh, load_points, sample_points, to_unit_sphere
from omni.samples.messages import Media


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "glb", "off"])
def test_formats_give_the_same_box(kind: str, tmp_path: Path) -> None:
    box = trimesh.creation.box(extents=(1, 2, 4))
    box.export(tmp_path / f"box.{kind}")
    data = (tmp_path / f"box.{kind}").read_bytes()
    as_bytes = Media("point_cloud", data=data, options={"format": kind})
    for mesh in (load_mesh(tmp_path / f"box.{kind}"), load_mesh(as_bytes)):
        assert mesh.faces is not None
        assert len(mesh.faces) == 12
        assert np.allclose(mesh.vertices.min(axis=0), [-0.5, -1, -2])
        assert np.allclose(mesh.vertices.max(axis=0), [0.5, 1, 2])
        assert np.allclose(np.ptp(mesh.vertices[mesh.faces].reshape(-1, 3), axis=0), [1, 2, 4])


def test_points_of_xyz_and_npy_and_arrays_are_a_cloud(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.savetxt(tmp_path / "x.xyz", points)
    np.save(tmp_path / "x.npy", points)
    for source in (tmp_path / "x.xyz", tmp_path / "x.npy", points):
        mesh = load_mesh(source)
        assert mesh.faces is None
        assert np.allclose(mesh.vertices, points, atol=1e-6)


def test_colours_of_materials_reach_the_vertices(tmp_path: Path) -> None:
    (tmp_path / "x.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n")
    (tmp_path / "x.obj").write_text(
        "mtllib x.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 5\nv 1 0 5\nv 0 1 5\n"
        "usemtl red\nf 1 2 3\nusemtl blue\nf 4 5 6\n"
    )
    mesh = load_mesh(tmp_path / "x.obj")
    assert mesh.colors is not None
    assert len(mesh.colors) == len(mesh.vertices) == 6
    low = mesh.vertices[:, 2] == 0
    assert np.allclose(mesh.colors[low], [1, 0, 0])
    assert np.allclose(mesh.colors[~low], [0, 0, 1])


def test_material_without_a_picture_colours_a_mesh_that_has_texture_coordinates(tmp_path: Path) -> None:
    (tmp_path / "x.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl wood\nKd 0 1 0\nmap_Kd wood.png\n")
    Image.new("RGB", (4, 4), (0, 0, 255)).save(tmp_path / "wood.png")
    (tmp_path / "x.obj").write_text(
        "mtllib x.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 5\nv 1 0 5\nv 0 1 5\nvt 0 0\nvt 1 0\nvt 0 1\n"
        "usemtl red\nf 1/1 2/2 3/3\nusemtl wood\nf 4/1 5/2 6/3\n"
    )
    mesh = load_mesh(tmp_path / "x.obj")
    assert mesh.colors is not None
    low = mesh.vertices[:, 2] == 0
    assert low.sum() == 3
    assert np.allclose(mesh.colors[low], [1, 0, 0])
    assert np.allclose(mesh.colors[~low], [0, 0, 1])


def test_colours_of_points_are_in_unit_range() -> None:
    colored = load_mesh(np.array([[0, 0, 0, 255, 0, 51], [1, 1, 1, 0, 0, 0]]))
    assert colored.colors is not None
    assert np.allclose(colored.colors[0], [1, 0, 0.2])


def test_points_lie_on_the_surface_in_proportion_to_area() -> None:
    # Two triangles in the planes z = 0 and z = 1; the second has three times the area.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 1], [0, 1, 1]], np.float32)
    cloud = sample_points(Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]])), 20000, seed=1)
    upper = cloud.points[:, 2] > 0.5
    assert upper.mean() == pytest.approx(0.75, abs=0.015)
    assert np.isin(cloud.points[:, 2], (0, 1)).all()
    assert np.allclose(cloud.points[~upper].mean(axis=0), [1 / 3, 1 / 3, 0], atol=0.01)


def test_same_seed_gives_the_same_points() -> None:
    mesh = load_mesh_of_box()
    first, again, other = (sample_points(mesh, 100, seed).points for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def load_mesh_of_box() -> Mesh:
    box = trimesh.creation.box()
    return Mesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces))


def test_cloud_is_thinned_without_repeats_and_filled_up_with_all() -> None:
    points = np.arange(30, dtype=np.float32).reshape(10, 3)
    assert len(np.unique(sample_points(Mesh(points), 6).points, axis=0)) == 6
    many = sample_points(Mesh(points), 25).points
    assert len(many) == 25
    assert len(np.unique(many, axis=0)) == 10


def test_unit_sphere_is_centred_with_the_farthest_point_at_one() -> None:
    points = load_points(np.random.default_rng(0).normal(5, 9, (500, 3)), 300).points
    assert np.allclose(points.mean(axis=0), 0, atol=1e-6)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1, abs=1e-6)
    assert np.array_equal(to_unit_sphere(np.ones((4, 3))), np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("x.obj", b"", "zero bytes"),
        ("x.obj", b"words and no vertices\n", "has no vertices|cannot be read"),
        ("x.stl", b"words and no facets\n", "has no vertices|cannot be read"),
        ("x.ply", b"ply\nformat ascii 1.0\nelement vertex 9\nend_header\n", "has no vertices|cannot be read"),
        ("x.glb", b"glTF" + bytes(20), "cannot be read as GLB"),
        ("x.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "NaN"),
        ("x.obj", b"v 0 0 0\nv 1 0 0\nf 1 2 9\n", "cannot be read|not there|no vertices"),
        ("x.npy", b"not numpy", "cannot be read as NPY"),
        ("x.abc", b"v 0 0 0", "unknown type '.abc'"),
    ],
)
def test_broken_file_is_an_error_with_its_cause(name: str, content: bytes, cause: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=cause) as caught:
        load_mesh(tmp_path / name)
    assert name in str(caught.value)


def test_arrays_that_are_no_points_and_unknown_bytes_are_refused(tmp_path: Path) -> None:
    for array in (np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(3)):
        with pytest.raises(MediaError, match=r"\[N, 3\]"):
            load_mesh(array)
    with pytest.raises(MediaError, match="NaN"):
        load_mesh(np.array([[0, 0, np.nan]]))
    with pytest.raises(MediaError, match="option 'format'"):
        load_mesh(b"v 0 0 0")
