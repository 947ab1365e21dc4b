import numpy as np
import pytest

from omni.encoders.rendering import render_views
from omni.media.mesh import Mesh

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
CUBE = Mesh(CORNERS, np.array([t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))], dtype=np.int64))


def arrays(mesh: Mesh, num_views: int = 4, **options: float | str) -> list[np.ndarray]:
    pictures = render_views(mesh, num_views, 64, **options)  # pyright: ignore[reportArgumentType]
    return [np.asarray(picture).astype(int) for picture in pictures]


def test_a_cube_seen_straight_on_is_a_square_of_the_right_size_without_gaps() -> None:
    front = arrays(CUBE, elevation=0.0)[0]
    covered = (front < 255).any(axis=2)
    side = 64 * 0.95 / np.sqrt(3)  # the sphere around the cube takes 0.95 of the picture
    assert covered.sum() == pytest.approx(side**2, rel=0.06)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    assert covered[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert np.unique(front[20:44, 20:44]).size == 1


def test_nearer_faces_hide_farther_ones() -> None:
    """A red square in front of a blue one; from behind it is the other way round."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float32)
    apart = np.array([0, 0, 0.5], dtype=np.float32)
    vertices = np.concatenate([square + apart, square - apart])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    colors = np.array([[1, 0, 0]] * 4 + [[0, 0, 1]] * 4, dtype=np.float32)
    front, _, back, _ = arrays(Mesh(vertices, faces, colors), elevation=0.0)
    assert front[32, 32, 0] > 100 > front[32, 32, 2]
    assert back[32, 32, 2] > 100 > back[32, 32, 0]


def test_colours_blend_between_vertices() -> None:
    triangle = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]], dtype=np.float32)
    mesh = Mesh(triangle, np.array([[0, 1, 2]]), np.eye(3, dtype=np.float32))
    front = arrays(mesh, elevation=0.0)[0]
    centre = front[40, 32]  # a third of the way up, where the three weights are about equal
    assert centre.max() - centre.min() < 25
    assert front[12, 32].argmax() == 2


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2)])
def test_the_chosen_axis_points_up(up: str, axis: int) -> None:
    points = np.zeros((200, 3), dtype=np.float32)
    points[:, axis] = np.linspace(0, 1, 200)
    colors = np.repeat(points[:, axis : axis + 1], 3, axis=1) * [0.0, 1.0, 0.0]  # the upper end is green
    for picture in arrays(Mesh(points, None, colors.astype(np.float32)), elevation=0.0, up=up):
        covered = np.argwhere((picture < 200).any(axis=2))
        assert np.ptp(covered[:, 0]) > 40 > 15 > np.ptp(covered[:, 1])
        column = picture[:, 32]
        assert column[covered[0, 0] + 3, 1] > column[covered[-1, 0] - 3, 1]


def test_views_go_around_the_object() -> None:
    """A point on the right in front is in the middle, near, from a quarter turn to the right."""
    points = np.array([[1, 0, 0], [-1, 0, 0]] + [[0, y, 0] for y in np.linspace(-1, 1, 20)], dtype=np.float32)
    colors = np.zeros_like(points)
    colors[0] = [1, 0, 0]
    front, right, back, left = arrays(Mesh(points, None, colors), elevation=0.0)

    def red_column(picture: np.ndarray) -> float:
        return float(np.argwhere((picture[:, :, 0] > 150) & (picture[:, :, 1] < 100))[:, 1].mean())

    assert red_column(front) > 50
    assert red_column(back) < 14
    assert red_column(right) == pytest.approx(32, abs=2)
    assert not ((left[:, :, 0] > 150) & (left[:, :, 1] < 100)).any()  # behind the pole


def test_points_without_colours_are_darker_the_nearer() -> None:
    points = np.array([[-1, 0, 1], [1, 0, -1], [-1, 0.2, 1], [1, 0.2, -1]], dtype=np.float32)
    front = arrays(Mesh(points), elevation=0.0)[0]
    assert front[:, :25].min() < front[:, 40:].min() - 50


def test_degenerate_shapes_give_pictures_not_errors() -> None:
    point = Mesh(np.zeros((1, 3), dtype=np.float32))
    flat = Mesh(np.zeros((3, 3), dtype=np.float32), np.array([[0, 1, 2]]))
    assert (arrays(point)[0] < 255).any()
    assert (arrays(flat)[0] == 255).all()
