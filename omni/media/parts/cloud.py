"""Parts of a mesh or point cloud: groups of points, by the cells of a grid around it; hidden ones are taken away.

Shapes: V vertices, F faces.
"""

from typing import Any

import numpy as np

from omni.media.item import Media
from omni.media.mesh import load_mesh, sample_points
from omni.media.parts.contract import evenly
from omni.media.parts.drawing import heat_colours, plain

_SAMPLED = 20_000  # points that stand for a surface: it cannot be given back as faces in an array
_DRAWN = 4000


class CloudParts:
    """Points in a cubic grid of at most `most` cells; a mesh gives points of its surface.

    A cell without points is a part that hides nothing.
    """

    aspect = 1.0

    def __init__(self, media: Media, most: int) -> None:
        mesh = load_mesh(media)
        points, colors = mesh.vertices, mesh.colors
        if mesh.faces is not None and len(mesh.faces):
            sampled = sample_points(mesh, _SAMPLED)
            points, colors = sampled.points, sampled.colors
        self.modality, self.points, self.colors = media.modality, np.asarray(points, dtype=np.float64), colors
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        side = max(1, int(round(most ** (1 / 3) * 1e6) / 1e6 + 1e-9))
        self.axes = tuple(
            evenly(name, float(a), float(max(b, a + 1e-9)), side) for name, a, b in zip("xyz", low, high, strict=True)
        )

    @property
    def cells(self) -> tuple[np.ndarray, ...]:
        """The cell of each point, as an index into arrays of the parts' shape: three of [V]."""
        return tuple(
            np.clip(np.searchsorted(axis.edges, self.points[:, i], side="right") - 1, 0, axis.size - 1)
            for i, axis in enumerate(self.axes)
        )

    def hide(self, hidden: np.ndarray) -> Media:
        """Return the cloud without the points in hidden cells; of a cloud that is hidden altogether one point stays."""
        kept = ~hidden[self.cells]
        if not kept.any():
            kept[0] = True
        points = self.points[kept]
        if self.colors is None:
            return Media(self.modality, data=points)
        columns = np.concatenate([points, self.colors[kept]], axis=1)
        return Media(self.modality, data=columns, options={"columns": "x y z red green blue"})

    def draw(self, canvas: Any, heat: np.ndarray, limit: float) -> None:
        """Draw the points from the side and a little from above, each in the colour of its cell."""
        chosen = np.random.default_rng(0).permutation(len(self.points))[:_DRAWN]
        points = self.points[chosen] - self.points.mean(axis=0)
        turn, tilt = np.radians(30), np.radians(20)
        across = points[:, 0] * np.cos(turn) + points[:, 2] * np.sin(turn)
        depth = points[:, 2] * np.cos(turn) - points[:, 0] * np.sin(turn)
        up = points[:, 1] * np.cos(tilt) - depth * np.sin(tilt)
        order = np.argsort(depth)[::-1]
        colours = heat_colours(heat[self.cells][chosen], limit)
        mixed = colours[:, :3] * colours[:, 3:] + 0.6 * (1 - colours[:, 3:])
        canvas.scatter(across[order], up[order], c=mixed[order], s=3, linewidths=0)
        canvas.set_aspect("equal")
        plain(canvas)
