"""3D files as their formats define them: indices, polygons, strips, colours, digits, and what stands around them."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omni.media import Media, MediaError
from omni.media.mesh import load_mesh, load_points

SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
# An arrowhead: the fan from its first corner would cover 6 instead of 2.
ARROW = [(0, 0, 0), (2, 2, 0), (0, 1, 0), (-2, 2, 0)]
# A comb: a base of 3 x 1 with two teeth of 1 x 1.
COMB = [(0, 0, 0), (3, 0, 0), (3, 2, 0), (2, 2, 0), (2, 1, 0), (1, 1, 0), (1, 2, 0), (0, 2, 0)]


def load(data: bytes | str, kind: str, **options: Any) -> Any:
    content = data.encode() if isinstance(data, str) else data
    return load_mesh(Media("point_cloud", data=content, options={"format": kind, **options}))


def area(mesh: Any) -> float:
    corners = mesh.vertices[mesh.faces]
    return float(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    )


def obj(points: list, face: str) -> str:
    return "".join(f"v {x} {y} {z}\n" for x, y, z in points) + f"f {face}\n"


def ply(points: list, faces: list[list[int]], form: str, extra: str = "", tail: list | None = None) -> bytes:
    head = f"ply\nformat {form} 1.0\nelement vertex {len(points)}\n" + "".join(f"property float {a}\n" for a in "xyz")
    head += f"{extra}element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    if form == "ascii":
        rows = [" ".join(map(str, [*point, *(tail or [])])) for point in points]
        rows += [" ".join(map(str, [len(face), *face])) for face in faces]
        return (head + "\n".join(rows) + "\n").encode()
    order = "<" if form == "binary_little_endian" else ">"
    body = b"".join(struct.pack(order + "3f", *point) for point in points)
    return head.encode() + body + b"".join(struct.pack(f"{order}B{len(face)}i", len(face), *face) for face in faces)


@pytest.mark.parametrize(
    ("points", "expected"), [(ARROW, 2.0), (ARROW[1:] + ARROW[:1], 2.0), (COMB, 5.0), (SQUARE, 1.0)]
)
def test_polygons_that_are_not_convex_are_filled_inside_only(points: list, expected: float) -> None:
    numbers = [*range(len(points))]
    counts = f"{len(points)} 1 0\n"
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in points)
    files = {
        "obj": obj(points, " ".join(str(i + 1) for i in numbers)),
        "ply": ply(points, [numbers], "ascii"),
        "off": f"OFF\n{counts}{rows}{len(points)} {' '.join(map(str, numbers))}\n",
    }
    for kind, data in files.items():
        mesh = load(data, kind)
        assert area(mesh) == pytest.approx(expected), kind
        assert len(mesh.faces) == len(points) - 2
    turned = [(y, z, x) for x, y, z in points]  # in another plane, and seen from behind
    assert area(load(obj(turned, " ".join(str(i + 1) for i in reversed(numbers))), "obj")) == pytest.approx(expected)


def test_obj_indices_count_back_from_their_line_also_for_textures(tmp_path: Path) -> None:
    one = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\n"
    ten = "v 0 0 9\nv 10 0 9\nv 10 10 9\nv 0 10 9\nf -4 -3 -2 -1\n"
    assert area(load(one + ten, "obj")) == pytest.approx(101)
    assert area(load(one + "f 1 2 3\n" + ten + "f 5 6 7\n", "obj")) == pytest.approx(151.5)
    Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "x.mtl").write_text("newmtl m\nmap_Kd x.png\n")
    (tmp_path / "x.obj").write_text(
        "mtllib x.mtl\nusemtl m\n"
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.2 0.5\nf -3/-1 -2/-1 -1/-1\n"
        "v 0 0 5\nv 1 0 5\nv 0 1 5\nvt 0.8 0.5\nf -3/-1 -2/-1 -1/-1\n"
    )
    mesh = load_mesh(tmp_path / "x.obj")
    assert mesh.colors is not None
    assert np.allclose(mesh.colors[mesh.vertices[:, 2] == 0], [1, 0, 0])
    assert np.allclose(mesh.colors[mesh.vertices[:, 2] == 5], [0, 0, 1])


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 3\n"


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"   {line}\n" for line in TRIANGLE.splitlines()),
        TRIANGLE.replace(" ", "\t"),
        TRIANGLE.replace("v 1 1 0", "v 1 1 0 # the top").replace("f 1 2 3", "f 1 2 3#face"),
        "\ufeff" + TRIANGLE,
        TRIANGLE.replace("\n", "\r\n"),
        TRIANGLE.replace("\n", "\r"),
        TRIANGLE.replace("f 1 2 3", "f 1 2 \\\n3"),
        TRIANGLE.replace("f 1 2 3", "vn 0 0 1\nf 1//1 2//1 3//1"),
        TRIANGLE.replace("f 1 2 3", "vt 0 0\nf 1/1/ 2/1/ 3/1/"),
        "# exported\n\no thing\ng part # one\ns off\n" + TRIANGLE + "l 1 2\n",
    ],
)
def test_obj_is_read_however_it_is_spaced(text: str) -> None:
    mesh = load(text, "obj")
    assert mesh.vertices.shape == (3, 3)
    assert area(mesh) == pytest.approx(0.5)


def test_obj_faces_of_different_forms_stand_together() -> None:
    points = "".join(f"v {x} {y} {z}\n" for x, y, z in SQUARE) + "vt 0 0\nvn 0 0 1\n"
    assert area(load(points + "f 1/1/1 2/1/1 3/1/1\nf 1 3 4\n", "obj")) == pytest.approx(1)
    assert area(load(points + "f 1/1 2/1 3/1\nf 1//1 3//1 4//1\nf 1 2 3 4\n", "obj")) == pytest.approx(2)
    with pytest.raises(MediaError, match="vertex that is not there"):
        load(points + "f 1 2 0\n", "obj")
    with pytest.raises(MediaError, match="vertex that is not there"):
        load("v 0 0 0\nf -1 -2 -3\nv 1 0 0\nv 0 1 0\n", "obj")


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_polygons_may_differ_in_size(form: str) -> None:
    assert area(load(ply(SQUARE, [[0, 1, 2], [0, 1, 2, 3]], form), "ply")) == pytest.approx(1.5)
    assert area(load(ply(ARROW, [[0, 1, 2, 3], [0, 1, 2], [3, 2, 1]], form), "ply")) == pytest.approx(2 + 1 + 2)
    assert load(ply(SQUARE, [], form), "ply").faces is None
    with pytest.raises(MediaError, match="cannot be read as PLY"):
        load(ply(SQUARE, [[0, 1, 2], [0, 1, 2, 3]], form)[:-4], "ply")


def test_ply_lists_of_texture_coordinates_and_other_elements_are_passed() -> None:
    head = (
        "ply\nformat ascii 1.0\ncomment made by hand\nelement vertex 4\nproperty float x\nproperty float y\n"
        "property float z\nelement face 2\nproperty list uchar int vertex_index\nproperty list uchar float texcoord\n"
        "property int texnumber\nelement edge 1\nproperty int a\nproperty int b\nend_header\n"
    )
    rows = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 6 0 0 1 0 1 1 0\n4 0 1 2 3 8 0 0 1 0 1 1 0 1 0\n0 1\n"
    assert area(load(head + rows, "ply")) == pytest.approx(1.5)


def test_ply_strips_are_triangles_that_face_one_side() -> None:
    head = "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    strips = "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    mesh = load(head + strips + "0 0 0\n0 1 0\n1 0 0\n1 1 0\n2 0 0\n8 0 1 2 3 -1 2 3 4\n", "ply")
    assert area(mesh) == pytest.approx(1.5)
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:2, 2] < 0).all()


@pytest.mark.parametrize(
    ("type", "names", "values"),
    [
        ("uchar", "red green blue", "255 128 0"),
        ("float", "red green blue", "1 0.5 0"),
        ("float", "red green blue", "255 127.5 0"),
        ("double", "r g b", "1.0000001 0.5 0"),
        ("ushort", "red green blue", "65535 32768 0"),
        ("int", "red green blue", "255 128 0"),
        ("uint16", "diffuse_red diffuse_green diffuse_blue", "65535 32768 0"),
        ("uchar", "diffuse_red diffuse_green diffuse_blue", "255 128 0"),
    ],
)
def test_ply_colours_are_scaled_by_their_type(type: str, names: str, values: str) -> None:
    extra = "".join(f"property {type} {name}\n" for name in names.split())
    mesh = load(ply(SQUARE, [[0, 1, 2, 3]], "ascii", extra, values.split()), "ply")
    assert np.allclose(mesh.colors, [1, 0.5, 0], atol=0.003)


def test_ply_normals_and_intensities_are_no_colours() -> None:
    extra = "property float nx\nproperty float ny\nproperty float nz\nproperty uchar intensity\n"
    assert load(ply(SQUARE, [[0, 1, 2, 3]], "ascii", extra, [0, 0, 1, 200]), "ply").colors is None


def test_colours_of_ply_faces_reach_the_vertices() -> None:
    head = ply(SQUARE, [], "ascii").decode().replace("element face 0", "element face 2")
    head = head.replace("end_header", "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header")
    mesh = load(head + "3 0 1 2 255 0 0\n3 0 2 3 0 0 255\n", "ply")
    assert np.allclose(mesh.colors, [[0.5, 0, 0.5], [1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("header", "tail"),
    [
        ("COFF", "1 0.5 0 1"),
        ("COFF", "255 128 0 255"),
        ("COFF", "255 128 0"),
        ("CNOFF", "0 0 1 255 128 0 255"),
        ("STCOFF", "1 0.5 0 1 0.2 0.3"),
    ],
)
def test_off_has_colours_where_its_header_says_so(header: str, tail: str) -> None:
    rows = "".join(f"{x} {y} {z} {tail}\n" for x, y, z in SQUARE)
    mesh = load(f"{header}\n# a comment\n4 1 0\n{rows}4 0 1 2 3\n", "off")
    assert np.allclose(mesh.colors, [1, 0.5, 0], atol=0.003)
    assert area(mesh) == pytest.approx(1)


def test_off_of_modelnet_and_with_normals_or_colours_of_faces() -> None:
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in SQUARE)
    assert area(load(f"OFF4 2 0\n{rows}3 0 1 2\n4 0 1 2 3\n", "off")) == pytest.approx(1.5)
    with_normals = rows.replace("\n", " 0 0 1\n")
    assert load(f"NOFF\n4 1 0\n{with_normals}4 0 1 2 3\n", "off").colors is None
    mesh = load(f"OFF\n4 2 0\n{rows}3 0 1 2 255 0 0\n3 0 2 3 0 0 255\n", "off")
    assert np.allclose(mesh.colors[[1, 3]], [[1, 0, 0], [0, 0, 1]])
    with pytest.raises(MediaError, match="vertex that is not there"):
        load(f"OFF\n4 1 0\n{rows}3 0 1 4\n", "off")


COMPONENT_TYPES = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125, "i2": 5122}


class Glb:
    """Collects arrays into one buffer."""

    def __init__(self) -> None:
        self.buffer, self.views, self.accessors = b"", [], []

    def add(self, values: Any, dtype: str, **more: Any) -> int:
        array = np.asarray(values, "<" + dtype)
        size = 1 if array.ndim == 1 else array.shape[1]
        row = size * array.itemsize
        stride = -(-row // 4) * 4
        data = b"".join(one.tobytes().ljust(stride, b"\0") for one in array) if size > 1 else array.tobytes()
        self.views.append({"buffer": 0, "byteOffset": len(self.buffer), "byteLength": len(data)})
        if size > 1 and stride != row:
            self.views[-1]["byteStride"] = stride
        self.buffer += data + b"\0" * (-len(data) % 4)
        kind = "SCALAR" if size == 1 else f"VEC{size}"
        shape = {"bufferView": len(self.views) - 1, "componentType": COMPONENT_TYPES[dtype], "count": len(array)}
        self.accessors.append({**shape, "type": kind, **more})
        return len(self.accessors) - 1

    def tree(self, primitive: dict, **more: Any) -> dict:
        return {
            **{"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]},
            **{"meshes": [{"primitives": [primitive]}], "accessors": self.accessors, "bufferViews": self.views},
            **{"buffers": [{"byteLength": len(self.buffer)}], **more},
        }

    def file(self, primitive: dict, **more: Any) -> bytes:
        text = json.dumps(self.tree(primitive, **more)).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self.buffer)
        head = b"glTF" + struct.pack("<III", 2, size, len(text)) + b"JSON" + text
        return head + struct.pack("<I", len(self.buffer)) + b"BIN\0" + self.buffer


@pytest.mark.parametrize(("mode", "order"), [(4, [0, 1, 2, 0, 2, 3]), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3])])
@pytest.mark.parametrize("has_indices", [True, False])
def test_gltf_triangles_strips_and_fans(mode: int, order: list[int], has_indices: bool) -> None:
    glb = Glb()
    points = SQUARE if has_indices else [SQUARE[i] for i in order]
    primitive: dict = {"attributes": {"POSITION": glb.add(points, "f4")}, "mode": mode}
    if has_indices:
        primitive["indices"] = glb.add(order, "u2")
    mesh = load_mesh(glb.file(primitive))
    assert area(mesh) == pytest.approx(1)
    corners = mesh.vertices[mesh.faces]
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()


@pytest.mark.parametrize(
    ("dtype", "colour", "is_told"),
    [
        ("f4", [1, 0.5, 0], False),
        ("u1", [255, 128, 0], True),
        ("u2", [65535, 32768, 0, 65535], True),
        ("u1", [255, 128, 0, 9], False),
    ],
)
@pytest.mark.parametrize(
    ("material", "expected"),
    [
        (None, [1, 0.5, 0]),
        ({}, [1, 0.5, 0]),
        ({"pbrMetallicRoughness": {"metallicFactor": 0}}, [1, 0.5, 0]),
        ({"pbrMetallicRoughness": {"baseColorFactor": [1, 0.5, 0, 1]}}, [1, 0.25, 0]),
    ],
)
def test_gltf_colours_are_those_of_vertices_times_the_base_colour(
    dtype: str, colour: list, is_told: bool, material: dict | None, expected: list
) -> None:
    glb = Glb()
    more = {"normalized": True} if is_told else {}
    attributes = {"POSITION": glb.add(SQUARE, "f4"), "COLOR_0": glb.add([colour] * 4, dtype, **more)}
    primitive: dict = {"attributes": attributes, "indices": glb.add([0, 1, 2, 0, 2, 3], "u2")}
    if material is None:
        mesh = load_mesh(glb.file(primitive))
    else:
        mesh = load_mesh(glb.file({**primitive, "material": 0}, materials=[material]))
    assert mesh.colors is not None
    assert np.allclose(mesh.colors, expected, atol=0.003)


def test_gltf_texture_times_factor_times_vertices_and_node_transforms(tmp_path: Path) -> None:
    glb = Glb()
    attributes = {
        "POSITION": glb.add(SQUARE, "f4"),
        "TEXCOORD_0": glb.add([[0, 0], [65535, 0], [65535, 65535], [0, 65535]], "u2", normalized=True),
        "COLOR_0": glb.add([[0.5, 1, 1]] * 4, "f4"),
    }
    primitive = {"attributes": attributes, "material": 0, "mode": 6}
    Image.fromarray(np.full((2, 2, 3), [255, 255, 51], np.uint8)).save(tmp_path / "my picture.png")
    shading = {"baseColorFactor": [1, 0.5, 1, 1], "baseColorTexture": {"index": 0}}
    half = 0.5**0.5
    tree = glb.tree(
        primitive,
        materials=[{"pbrMetallicRoughness": shading}],
        textures=[{"source": 0}],
        images=[{"uri": "my%20picture.png"}],
        nodes=[
            {"children": [1], "translation": [10, 0, 0]},
            {"mesh": 0, "rotation": [0, 0, half, half], "scale": [2, 2, 2]},
        ],
    )
    tree["buffers"][0]["uri"] = "my%20data.bin"
    (tmp_path / "my data.bin").write_bytes(glb.buffer)
    (tmp_path / "x.gltf").write_text(json.dumps(tree))
    mesh = load_mesh(tmp_path / "x.gltf")
    assert mesh.colors is not None
    assert np.allclose(mesh.colors, [0.5, 0.5, 0.2], atol=0.003)
    assert np.allclose(mesh.vertices, [[10, 0, 0], [10, 2, 0], [8, 2, 0], [8, 0, 0]], atol=1e-6)
    tree["buffers"][0]["uri"] = "../my%20data.bin"
    (tmp_path / "x.gltf").write_text(json.dumps(tree))
    with pytest.raises(MediaError, match="not in its folder"):
        load_mesh(tmp_path / "x.gltf")


def test_gltf_sparse_and_quantised_positions_are_read_and_compressed_ones_refused() -> None:
    glb = Glb()
    places, values = glb.add([2], "u1"), glb.add([[1, 1, 0]], "f4")
    sparse = {
        "count": 1,
        "indices": {"bufferView": places, "componentType": 5121},
        "values": {"bufferView": values},
    }
    position = glb.add([SQUARE[0], SQUARE[1], (9, 9, 9), SQUARE[3]], "f4", sparse=sparse)
    assert area(load_mesh(glb.file({"attributes": {"POSITION": position}, "mode": 6}))) == pytest.approx(1)
    glb = Glb()
    position = glb.add((np.array(SQUARE) * 32767).astype("i2"), "i2", normalized=True)
    quantised = {"extensionsRequired": ["KHR_mesh_quantization"]}
    file = glb.file({"attributes": {"POSITION": position}, "mode": 6}, **quantised)
    assert area(load_mesh(file)) == pytest.approx(1)
    packed = {"extensionsRequired": ["KHR_draco_mesh_compression"]}
    with pytest.raises(MediaError, match=r"KHR_draco_mesh_compression.*without compression"):
        load_mesh(glb.file({"attributes": {"POSITION": position}}, **packed))
    glb.accessors = [{"componentType": 5126, "count": 4, "type": "VEC3"}]
    optional = {"attributes": {"POSITION": 0}, "extensions": {"KHR_draco_mesh_compression": {"bufferView": 0}}}
    with pytest.raises(MediaError, match="is compressed by KHR_draco"):
        load_mesh(glb.file(optional))


def test_gltf_nodes_in_a_circle_are_an_error() -> None:
    glb = Glb()
    primitive = {"attributes": {"POSITION": glb.add(SQUARE, "f4")}, "mode": 6}
    with pytest.raises(MediaError, match="two parents"):
        load_mesh(glb.file(primitive, nodes=[{"mesh": 0, "children": [1]}, {"children": [0]}]))


def test_clouds_far_from_the_origin_keep_their_digits(tmp_path: Path) -> None:
    """Metres of UTM, and of the earth's centre: float32 would leave steps of half a metre."""
    grid = np.array([[x, y, 0] for x in range(30) for y in range(30)]) * 0.1
    rows = obj_rows = ""
    for far in ([500000.0, 5400000.0, 300.0], [-2700000.0, -4300000.0, 3850000.0]):
        points = grid + far
        rows = "".join(f"{x:.3f} {y:.3f} {z:.3f}\n" for x, y, z in points)
        obj_rows = "".join(f"v {row}\n" for row in rows.splitlines())
        np.save(tmp_path / "x.npy", points)
        (tmp_path / "x.xyz").write_text(rows)
        (tmp_path / "x.obj").write_text(obj_rows)
        (tmp_path / "x.off").write_text(f"OFF\n900 0 0\n{rows}")
        head = "ply\nformat ascii 1.0\nelement vertex 900\n" + "".join(f"property double {a}\n" for a in "xyz")
        (tmp_path / "x.ply").write_text(f"{head}end_header\n{rows}")
        for source in (points, *(tmp_path / f"x.{kind}" for kind in ("npy", "xyz", "obj", "off", "ply"))):
            cloud = load_points(source, 900)
            assert cloud.points.dtype == np.float32
            assert len(np.unique(cloud.points.round(4), axis=0)) == 900
            assert len(np.unique(load_points(source, 900, unit_sphere=False).points.round(2), axis=0)) == 900


def test_textures_are_of_the_formats_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow, as trimesh calls it, would start Ghostscript for a texture that is an EPS in truth."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'attacked'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # looked for again
    (tmp_path / "x.mtl").write_text("newmtl wood\nKd 0 1 0\nmap_Kd wood.png\n")
    (tmp_path / "wood.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (tmp_path / "x.obj").write_text(
        "mtllib x.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl wood\nf 1/1 2/2 3/3\n"
    )
    assert np.allclose(load_mesh(tmp_path / "x.obj").colors, [0, 1, 0])  # of the material
    assert not (tmp_path / "attacked").exists()
    with pytest.raises(Exception, match=r".*"):  # and this is what would have run
        Image.open(tmp_path / "wood.png").load()
    assert (tmp_path / "attacked").exists()
