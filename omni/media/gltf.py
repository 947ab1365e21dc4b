"""glTF 2.0 and GLB: the meshes of a scene, joined. The rules are those of the Khronos specification, by section.

Colours are the base colour factor, times the texture, times COLOR_0 (3.9.2), as numbers, without a change of colour
space. V vertices, F faces.
"""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from omni.media.mesh_files import Beside, colors_at, picture
from omni.media.surface import Mesh, join, strip_triangles

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6
# Extensions that may be required and change neither places nor colours, or are read here.
_KNOWN_EXTENSIONS = (
    "KHR_materials_",
    "KHR_texture_transform",
    "KHR_lights_",
    "EXT_texture_webp",
    "KHR_mesh_quantization",
)
_MOST_VERTICES = 50_000_000  # of a scene, which may name one mesh many times


def read_gltf(data: bytes, beside: Beside, name: str) -> Mesh | None:
    """Read the default scene of a GLB or glTF file; None where it has no triangles and no points.

    Raises:
        ValueError: it is damaged, or needs an extension that is not read (compressed meshes).
    """
    tree, binary = _parse(data)
    unknown = [one for one in tree.get("extensionsRequired", []) if not one.startswith(_KNOWN_EXTENSIONS)]
    if unknown:
        raise ValueError(f"it needs the extension {unknown[0]}, which is not read here; export it without compression")
    return join([*_Scene(tree, binary, beside, name).parts()])


def _parse(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    if not data.startswith(b"glTF"):
        return json.loads(data.decode("utf-8-sig")), None
    version, _ = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise ValueError(f"it is of version {version}; version 2 is read")
    place, tree, binary = 12, None, None
    while place + 8 <= len(data):
        size, kind = struct.unpack_from("<I4s", data, place)
        chunk = data[place + 8 : place + 8 + size]
        if len(chunk) < size:
            raise ValueError("it was cut off")
        if kind == b"JSON" and tree is None:
            tree = json.loads(chunk)
        elif kind == b"BIN\0" and binary is None:
            binary = chunk
        place += 8 + size
    if not isinstance(tree, dict):
        raise ValueError("it has no JSON")
    return tree, binary


class _Scene:
    def __init__(self, tree: dict[str, Any], binary: bytes | None, beside: Beside, name: str) -> None:
        self._tree = tree
        self._binary = binary
        self._beside = beside
        self._name = name
        self._buffers: dict[int, bytes] = {}
        self._textures: dict[int, Any] = {}

    def parts(self) -> Iterator[Mesh]:
        """Yield every primitive of the scene in its place."""
        count = 0
        for mesh, matrix in self._placed_meshes():
            for primitive in self._tree["meshes"][mesh]["primitives"]:
                part = self._primitive(primitive)
                if part is None:
                    continue
                count += len(part.vertices)
                if count > _MOST_VERTICES:
                    raise ValueError(f"it has more than {_MOST_VERTICES} vertices")
                yield Mesh(part.vertices @ matrix[:3, :3].T + matrix[:3, 3], part.faces, part.colors)

    def _placed_meshes(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the meshes of the scene with their matrices; all meshes where there are no nodes."""
        nodes = self._tree.get("nodes", [])
        if not nodes:
            yield from ((index, np.eye(4)) for index in range(len(self._tree.get("meshes", []))))
            return
        scenes = self._tree.get("scenes", [])
        if scenes:
            roots = scenes[self._tree.get("scene", 0)].get("nodes", [])
        else:
            children = {child for node in nodes for child in node.get("children", [])}
            roots = [index for index in range(len(nodes)) if index not in children]
        waiting = [(index, np.eye(4)) for index in reversed(roots)]
        seen: set[int] = set()
        while waiting:
            index, above = waiting.pop()
            if index in seen:
                raise ValueError(f"its node {index} has two parents, or is its own (3.5.2)")
            seen.add(index)
            matrix = above @ _matrix(nodes[index])
            if "mesh" in nodes[index]:
                yield nodes[index]["mesh"], matrix
            waiting += [(child, matrix) for child in reversed(nodes[index].get("children", []))]

    def _primitive(self, primitive: dict[str, Any]) -> Mesh | None:
        mode, attributes = primitive.get("mode", _TRIANGLES), primitive["attributes"]
        if mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN) or "POSITION" not in attributes:
            return None  # lines have no surface
        compressed = [one for one in primitive.get("extensions", {}) if "compression" in one]
        if compressed and "bufferView" not in self._tree["accessors"][attributes["POSITION"]]:
            raise ValueError(f"it is compressed by {compressed[0]}, which is not read here; export it without")
        vertices = self._accessor(attributes["POSITION"]).astype(np.float64)
        if vertices.shape[1] != 3:
            raise ValueError("its positions are not of three numbers")
        colors = self._colors(primitive, len(vertices))
        if mode == _POINTS:
            return Mesh(vertices, None, colors)
        indices = np.arange(len(vertices))
        if "indices" in primitive:
            indices = self._accessor(primitive["indices"]).reshape(-1).astype(np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(vertices):
            raise ValueError(f"a face names a vertex that is not there (it has {len(vertices)})")
        return Mesh(vertices, _faces(indices, mode), colors)

    def _colors(self, primitive: dict[str, Any], num_vertices: int) -> np.ndarray | None:
        attributes = primitive["attributes"]
        colors = None
        if "material" in primitive:
            colors = self._base_colors(self._tree["materials"][primitive["material"]], attributes, num_vertices)
        if "COLOR_0" in attributes:
            own = self._accessor(attributes["COLOR_0"], is_color=True)[:, :3]
            if len(own) != num_vertices:
                raise ValueError(f"it has {len(own)} colours for {num_vertices} vertices")
            colors = own if colors is None else colors * own
        return None if colors is None else np.clip(colors, 0, 1).astype(np.float32)

    def _base_colors(self, material: dict[str, Any], attributes: dict[str, int], num_vertices: int) -> np.ndarray:
        shading = material.get("pbrMetallicRoughness", {})
        factor, texture = shading.get("baseColorFactor", [1, 1, 1, 1]), shading.get("baseColorTexture")
        other = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
        if other is not None and not shading:
            factor, texture = other.get("diffuseFactor", [1, 1, 1, 1]), other.get("diffuseTexture")
        colors = np.tile(np.array(factor[:3], np.float64), (num_vertices, 1))
        if texture is None:
            return colors
        moved = texture.get("extensions", {}).get("KHR_texture_transform", {})
        key = f"TEXCOORD_{moved.get('texCoord', texture.get('texCoord', 0))}"
        image = self._texture(texture["index"])
        if image is None or key not in attributes:
            return colors
        coordinates = self._accessor(attributes[key]).astype(np.float64)[:, :2]
        if len(coordinates) != num_vertices:
            raise ValueError(f"it has {len(coordinates)} texture coordinates for {num_vertices} vertices")
        return colors * colors_at(image, _transformed(coordinates, moved))

    def _texture(self, index: int) -> Any | None:
        """Return the picture of a texture; None where the file is missing or of a kind that Pillow does not read."""
        if index not in self._textures:
            texture = self._tree["textures"][index]
            source = texture.get("extensions", {}).get("EXT_texture_webp", {}).get("source", texture.get("source"))
            image = {} if source is None else self._tree["images"][source]
            try:
                content = self._view(image["bufferView"]) if "bufferView" in image else self._uri(image.get("uri", ""))
                self._textures[index] = picture(bytes(content), self._name)
            except (OSError, ValueError):
                self._textures[index] = None
        return self._textures[index]

    def _uri(self, uri: str) -> bytes:
        if not uri.startswith("data:"):
            return self._beside(uri)
        header, _, payload = uri.partition(",")
        return base64.b64decode(payload) if header.endswith(";base64") else unquote_to_bytes(payload)

    def _view(self, index: int) -> memoryview:
        view = self._tree["bufferViews"][index]
        number, begin = view["buffer"], view.get("byteOffset", 0)
        if number not in self._buffers:
            uri = self._tree["buffers"][number].get("uri")
            if uri is None and self._binary is None:
                raise ValueError(f"its buffer {number} is missing")
            self._buffers[number] = (self._binary or b"") if uri is None else self._uri(uri)
        part = memoryview(self._buffers[number])[begin : begin + view["byteLength"]]
        if begin < 0 or len(part) < view["byteLength"]:
            raise ValueError(f"its buffer {number} was cut off")
        return part

    def _accessor(self, index: int, is_color: bool = False) -> np.ndarray:
        """Return an accessor's numbers `[count, width]` (3.6.2); integers that are normalised become floats."""
        accessor = self._tree["accessors"][index]
        kind, width = np.dtype(_COMPONENTS[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        count = accessor["count"]
        if "bufferView" in accessor:
            view = self._tree["bufferViews"][accessor["bufferView"]]
            values = self._strided(accessor["bufferView"], accessor, kind, width, view.get("byteStride"), count)
        elif 0 <= count <= _MOST_VERTICES:
            values = np.zeros((count, width), kind)
        else:
            raise ValueError(f"it claims {count} values")
        if "sparse" in accessor:
            values = self._with_sparse(values.copy(), accessor["sparse"], kind, width)
        # Colours of integers are normalised in any case (3.7.2.1); some writers forget to say so.
        if kind.kind != "f" and (accessor.get("normalized") or is_color):
            scaled = values / np.float64(np.iinfo(kind).max)
            return np.maximum(scaled, -1.0)
        return values

    def _strided(
        self, view: int, part: dict[str, Any], kind: np.dtype, width: int, stride: int | None, count: int
    ) -> np.ndarray:
        data = self._view(view)
        begin, size = part.get("byteOffset", 0), width * kind.itemsize
        step = stride or size
        if count < 0 or begin < 0 or step <= 0 or (count and begin + step * (count - 1) + size > len(data)):
            raise ValueError("an accessor reads beyond its buffer; it was cut off")
        if count == 0:
            return np.zeros((0, width), kind)
        return np.ndarray((count, width), kind, data, begin, (step, kind.itemsize))

    def _with_sparse(self, values: np.ndarray, sparse: dict[str, Any], kind: np.dtype, width: int) -> np.ndarray:
        count, where, what = sparse["count"], sparse["indices"], sparse["values"]
        places = self._strided(
            where["bufferView"], where, np.dtype(_COMPONENTS[where["componentType"]]), 1, None, count
        ).reshape(-1)
        if count and places.max() >= len(values):
            raise ValueError("a sparse accessor changes a value that is not there")
        values[places] = self._strided(what["bufferView"], what, kind, width, None, count)
        return values


def _faces(indices: np.ndarray, mode: int) -> np.ndarray:
    """Return triangles `[F, 3]` of a list, a strip or a fan (3.7.2.1); what is left over is not drawn."""
    if mode == _STRIP:
        return strip_triangles(indices)
    if mode == _FAN:
        count = max(len(indices) - 2, 0)
        return np.stack([np.repeat(indices[:1], count), indices[1 : count + 1], indices[2 : count + 2]], axis=1)
    return indices[: len(indices) // 3 * 3].reshape(-1, 3)


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """Return the matrix `[4, 4]` of a node: translation x rotation x scale (3.5.3)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", [0, 0, 0, 1]), np.float64)
    length = x * x + y * y + z * z + w * w
    s = 2 / length if length > 0 else 0.0
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", [1, 1, 1]), np.float64)
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix


def _transformed(coordinates: np.ndarray, moved: dict[str, Any]) -> np.ndarray:
    """Return texture coordinates moved as KHR_texture_transform says: translation x rotation x scale."""
    angle = moved.get("rotation", 0.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    scaled = coordinates * moved.get("scale", [1, 1])
    turned = np.stack([cosine * scaled[:, 0] + sine * scaled[:, 1], cosine * scaled[:, 1] - sine * scaled[:, 0]], 1)
    return turned + moved.get("offset", [0, 0])
