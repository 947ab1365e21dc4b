"""Depth: from stored numbers to metres and disparity, by hand."""

import io
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from omni.media import Media, MediaError
from omni.media.depth import load_depth, load_disparity

METRES = np.array([[0.5, 1.0, 2.0], [0.0, 4.0, 9.5]], np.float32)
MILLIMETRES = np.rint(METRES * 1000).astype(np.uint16)


def write_exr(path: Path, **channels: np.ndarray) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))
    return path


@pytest.mark.parametrize("kind", ["mm.png", "mm.tiff", "mm.pgm", "m.tiff", "m.npy", "m.exr", "half.exr", "mm.npy"])
def test_files_of_all_kinds_give_the_same_metres(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    values = MILLIMETRES if kind.startswith("mm") else METRES
    if kind.endswith(".npy"):
        np.save(path, values)
    elif kind.endswith(".exr"):
        write_exr(path, Z=METRES.astype(np.float16) if kind.startswith("half") else METRES)
    else:
        Image.fromarray(values).save(path)
    for source in (path, path.read_bytes(), Media("depth", path=str(path)), Media("depth", data=path.read_bytes())):
        metres = load_depth(source)
        assert metres.dtype == np.float32
        np.testing.assert_allclose(metres, METRES, atol=1e-6)


def test_arrays_and_pictures_are_read_as_files_are() -> None:
    for source in (METRES, METRES[None], METRES[..., None], MILLIMETRES, Image.fromarray(MILLIMETRES)):
        np.testing.assert_allclose(load_depth(source), METRES, atol=1e-6)


def test_sun_rotates_bits_and_is_cut_at_8_metres() -> None:
    stored = (MILLIMETRES << 3) | (MILLIMETRES >> 13)
    expected = METRES.clip(max=8)
    np.testing.assert_allclose(load_depth(stored, encoding="sun"), expected, atol=1e-6)
    media = Media("depth", data=stored, options={"encoding": "sun", "max_metres": 3})
    np.testing.assert_allclose(load_depth(media), METRES.clip(max=3), atol=1e-6)


def test_raw_values_of_nyu_follow_its_toolbox_in_either_byte_order() -> None:
    raw = np.array([[400, 800, 1000], [1060, 1092, 2047]], np.uint16)
    expected = np.array([351.3 / 692.5, 351.3 / 292.5, 351.3 / 92.5, 10, 10, 0]).reshape(2, 3)
    for stored in (raw, raw.byteswap()):
        np.testing.assert_allclose(load_depth(stored, encoding="nyu"), expected, rtol=1e-6)


def test_other_scales_are_units_per_metre() -> None:
    tum = np.array([[5000, 10000]], np.uint16)
    assert load_depth(Media("depth", data=tum, options={"units_per_metre": 5000})).tolist() == [[1.0, 2.0]]


def test_disparity_is_baseline_times_focal_length_over_depth() -> None:
    def disparity(**options: object) -> list[float]:
        return load_disparity(Media("depth", data=np.array([[1.0, 2.0, 0.0, np.nan]]), options=dict(options)))[
            0
        ].tolist()

    assert disparity() == pytest.approx([0.075 * 518.86, 0.075 * 518.86 / 2, 0, 0])
    assert disparity(sensor="xtion")[0] == pytest.approx(0.095 * 570.34)
    assert disparity(focal_length=500)[0] == pytest.approx(0.075 * 500)
    assert disparity(baseline=0.2, focal_length=100)[0] == pytest.approx(20)
    matrix = [[600, 0, 320], [0, 601, 240], [0, 0, 1]]
    for intrinsics in (matrix, np.ravel(matrix).tolist(), [600, 601, 320, 240]):
        assert disparity(intrinsics=intrinsics)[0] == pytest.approx(45)
    assert disparity(encoding="disparity") == [1.0, 2.0, 0.0, 0.0]


def test_channels_of_openexr_are_found_or_named(tmp_path: Path) -> None:
    colours = {name: np.full((2, 3), value, np.float32) for name, value in (("R", 3), ("G", 1), ("B", 2))}
    path = write_exr(tmp_path / "many.exr", **colours)
    assert load_depth(path).tolist() == np.full((2, 3), 3.0).tolist()
    assert load_depth(Media("depth", path=str(path), options={"channel": "G"}))[0, 0] == 1
    with pytest.raises(MediaError, match="no channel 'Z'; its channels are B, G, R"):
        load_depth(Media("depth", path=str(path), options={"channel": "Z"}))
    path = write_exr(tmp_path / "far.exr", Z=np.array([[1.0, np.inf, 1e10]], np.float32))
    np.testing.assert_allclose(load_disparity(path), [[0.075 * 518.86, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("array", "options", "problem"),
    [
        (np.zeros((4, 5), np.uint16), {}, "no pixel of known depth"),
        (np.full((4, 5), np.nan), {}, "no pixel of known depth"),
        (np.ones((4, 5), np.uint8), {}, "has 8 bits, .* units_per_metre"),
        (np.ones((4, 5, 3), np.uint8), {}, r"must be an array \[height, width\]"),
        (np.ones(7), {}, r"got \[7\]"),
        (np.array(1.0), {}, r"got \[\]"),
        (np.array([["a"]]), {}, "must be of numbers"),
        (np.ones((4, 5)), {"encoding": "sun"}, "is of 16-bit integers, but this holds float64"),
        (np.full((4, 5), 3000, np.uint16), {"encoding": "nyu"}, "at most 2047"),
        (np.ones((4, 5)), {"encoding": "feet"}, "is 'feet'; allowed: metres, millimetres, sun, nyu, disparity"),
        (np.ones((4, 5)), {"encoding": "sun", "units_per_metre": 3}, "both options"),
        (np.ones((4, 5)), {"sensor": "lidar"}, "allowed: kv1, kv2, realsense, xtion"),
        (np.ones((4, 5)), {"intrinsics": [1, 2]}, r"must be \[fx, fy, cx, cy\] or a 3 x 3 matrix"),
        (np.ones((4, 5)), {"focal_length": "wide"}, "must be a number"),
        (np.ones((4, 5)), {"focal": 500}, "has no option 'focal'"),
    ],
)
def test_what_cannot_be_depth_is_an_error_of_that_item(array: np.ndarray, options: dict, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        load_disparity(Media("depth", data=array, options=options))


def test_a_coloured_rendering_is_no_depth() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    with pytest.raises(MediaError, match="is in colour"):
        load_depth(file.getvalue())
