"""Columns of XYZ files and arrays of points: named, or without doubt, or refused. Never guessed into colours."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omni.media import Media, MediaError
from omni.media.mesh import load_mesh

PLACES = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]


def rows(tail: str = "", separator: str = " ") -> str:
    return "".join(separator.join([*map(str, place), *tail.split()]) + "\n" for place in PLACES)


def load(text: str, **options: Any) -> Any:
    return load_mesh(Media("point_cloud", data=text.encode(), options={"format": "xyz", **options}))


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("255 128 0", [1, 0.5, 0]),
        ("1.0 0.5 0.0", [1, 0.5, 0]),
        ("9 255 128 0", [1, 0.5, 0]),
        ("0.25 1 0.5 0", [1, 0.5, 0]),
        ("255 128 0 0 0 1", [1, 0.5, 0]),
        ("0 0 -1 255 128 0", [1, 0.5, 0]),
        ("0 0 -1", None),
        ("0.7", None),
        ("", None),
    ],
)
def test_columns_without_names_that_leave_no_doubt(tail: str, expected: list | None) -> None:
    mesh = load(rows(tail))
    assert np.array_equal(mesh.vertices, PLACES)
    if expected is None:
        assert mesh.colors is None
    else:
        assert np.allclose(mesh.colors, expected, atol=0.003)
    array = np.array([[*place, *map(float, tail.split())] for place in PLACES])
    as_array = load_mesh(array)
    assert (as_array.colors is None) == (mesh.colors is None)


@pytest.mark.parametrize(
    "tail", ["0 0 1", "0.6 0 0.8", "3.5 2.5 900", "-3 2 1", "1 2", "255 128 0 255", "0 0 1 0.5 1 1 1 1"]
)
def test_columns_in_doubt_are_refused_and_names_are_the_way_out(tail: str) -> None:
    with pytest.raises(MediaError, match="name the columns in the option 'columns'"):
        load(rows(tail))
    names = " ".join(["x", "y", "z", *(f"value{i}" for i in range(len(tail.split())))])
    mesh = load(rows(tail), columns=names)
    assert np.array_equal(mesh.vertices, PLACES)
    assert mesh.colors is None


def test_names_in_options_say_what_is_what(tmp_path: Path) -> None:
    assert load(rows("0 0 1"), columns="x y z nx ny nz").colors is None
    assert np.allclose(load(rows("0 0 1"), columns=["x", "y", "z", "r", "g", "b"]).colors, [0, 0, 1])
    array = np.array([[9, *place, 255, 128, 0] for place in PLACES], np.int64)
    np.save(tmp_path / "x.npy", array)
    options = {"columns": "label x y z red green blue"}
    as_file = Media("point_cloud", path=str(tmp_path / "x.npy"), options=options)
    for media in (as_file, Media("point_cloud", data=array, options=options)):
        mesh = load_mesh(media)
        assert np.array_equal(mesh.vertices, PLACES)
        assert mesh.colors is not None
        assert np.allclose(mesh.colors, [1, 0.5, 0], atol=0.003)
    for wrong in ("x y z", "x y z r g b a", 5):
        with pytest.raises(MediaError, match="names of its 6 columns"):
            load(rows("0 0 1"), columns=wrong)
    with pytest.raises(MediaError, match="has no column z"):
        load(rows(), columns="x y height")
    with pytest.raises(MediaError, match="no option 'colums'"):
        load(rows(), colums="x y z")


@pytest.mark.parametrize(
    "text",
    [
        "# made by hand\n" + rows(),
        "//X Y Z\n" + rows(),
        "X Y Z\n" + rows(),
        "4\n" + rows(),
        "//X Y Z\n4\n" + rows(),
        rows().replace(" ", ","),
        rows().replace(" ", ", "),
        rows().replace(" ", ";"),
        rows().replace(" ", "\t"),
        rows().replace("0", "0,0").replace("1", "1,0"),
        rows().replace("0", "0,0").replace(" ", ";"),
        "\ufeff" + rows().replace("\n", "\r\n") + "\r\n",
        rows().replace("\n", " # point\n"),
        "# c\n" + rows().replace("1 1 0", "# c\n1 1 0"),
    ],
)
def test_headers_comments_and_separators_are_understood(text: str) -> None:
    assert np.array_equal(load(text).vertices, PLACES)


def test_names_in_the_file_say_what_is_what() -> None:
    mesh = load("//X Y Z Intensity R G B Nx Ny Nz\n4\n" + rows("0.5 255 128 0 0 0 1"))
    assert np.allclose(mesh.colors, [1, 0.5, 0], atol=0.003)
    assert load("//X,Y,Z,Nx,Ny,Nz\n" + rows("0 0 1", ",")).colors is None
    assert np.allclose(load("X Y Z Rf Gf Bf\n" + rows("1 0.5 0")).colors, [1, 0.5, 0])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("C 0 0 0\nH 1 0 0\n", "line 1 is 'C 0 0 0', not numbers"),
        ("0 0 0\n1 1\n", "as many numbers each"),
        ("0 0\n1 1\n", "has 2 columns"),
        ("# nothing\n", "has no vertices"),
        ("1 0 0 7\n2 1 0 7\n3 1 1 7\n", "numbers its points"),
    ],
)
def test_what_is_no_table_of_points_is_told(text: str, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        load(text)


def test_damaged_npy_headers_are_errors_of_that_item(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 3)))
    good = (tmp_path / "x.npy").read_bytes()
    claims = good.replace(b"(4, 3)", b"(15000000000, 3)").replace(b" " * 10 + b"\n", b"\n")
    for data in (good.replace(b"(4, 3)", b"(4, 3("), good[:40], claims, b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((("):
        (tmp_path / "x.npy").write_bytes(data)
        for source in (tmp_path / "x.npy", Media("point_cloud", data=data, options={"format": "npy"})):
            with pytest.raises(MediaError, match="cannot be read as NPY"):
                load_mesh(source)
