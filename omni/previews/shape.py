"""Previews of 3D objects: a binary glTF file for a viewer, and a picture of it."""

from typing import Any

import numpy as np
import trimesh

from omni.encoders.rendering import render_views
from omni.media.item import Media
from omni.media.mesh import load_mesh, to_unit_sphere
from omni.media.surface import Mesh
from omni.previews.kinds import Picture, Shape

_MOST_POINTS = 100_000  # of a cloud in the viewer
_PICTURE_SIZE = 384
_MOST_FACES = 200_000  # that the picture is drawn from; the viewer gets all


def preview_shape(media: Media) -> Shape:
    """Return a mesh or point cloud, centred and scaled to the unit sphere, as glTF and as a picture."""
    mesh = load_mesh(media)
    vertices = to_unit_sphere(mesh.vertices)
    colors = None if mesh.colors is None else (mesh.colors * 255).astype(np.uint8)
    if mesh.faces is None or not len(mesh.faces):
        caption = f"{len(vertices):,} points"
        thinned = np.random.default_rng(0).permutation(len(vertices))[:_MOST_POINTS]
        shown: Any = trimesh.PointCloud(vertices[thinned], None if colors is None else colors[thinned])
        drawn = Mesh(mesh.vertices[thinned], None, None if mesh.colors is None else mesh.colors[thinned])
    else:
        caption = f"{len(vertices):,} vertices, {len(mesh.faces):,} faces"
        shown = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=colors, process=False)
        drawn = mesh
        if len(mesh.faces) > _MOST_FACES:
            kept = np.random.default_rng(0).permutation(len(mesh.faces))[:_MOST_FACES]
            drawn = Mesh(mesh.vertices, mesh.faces[kept], mesh.colors)
    (picture,) = render_views(drawn, 1, _PICTURE_SIZE)
    glb = trimesh.Scene(shown).export(file_type="glb")
    assert isinstance(glb, bytes)
    return Shape(glb, Picture(picture, caption))
