"""Thermal pictures: brightness and temperatures, by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omni.media import Media, MediaError
from omni.media.thermal import load_celsius, load_thermal

COUNTS = np.array([[27315, 29315], [30315, 31315]], np.uint16)  # 0, 20, 30 and 40 degrees Celsius


def thermal(data: object, **options: object) -> list[list[float]]:
    values = load_thermal(Media("thermal", data=data, options=options))  # pyright: ignore[reportArgumentType]
    assert values.dtype == np.float32
    return values.astype(float).round(5).tolist()


def test_eight_bits_keep_their_scale_and_sixteen_are_spread() -> None:
    assert thermal(np.array([[51, 102]], np.uint8)) == [[0.2, 0.4]]
    assert thermal(np.array([[0.25, 0.5]])) == [[0.25, 0.5]]
    assert thermal(COUNTS) == [[0.0, 0.5], [0.75, 1.0]]
    assert thermal(COUNTS, scaling="full") == (COUNTS / 65535).round(5).tolist()
    assert thermal(np.full((1, 2), 30000, np.uint16)) == [[0.0, 0.0]]


def test_percentiles_keep_single_pixels_from_deciding() -> None:
    values = np.arange(101, dtype=np.uint16)[None] * 10
    values[0, -1] = 60000
    spread = np.array(thermal(values, percentiles=[0, 99]))
    assert spread[0, 99] == 1.0
    assert spread[0, 50] == pytest.approx(50 / 99, abs=1e-4)


def test_radiometric_pictures_are_placed_by_their_temperature(tmp_path: Path) -> None:
    expected = [[0.0, 0.5], [0.75, 1.0]]
    options = {"scaling": "radiometric", "temperatures": [0, 40]}
    assert thermal(COUNTS, **options) == expected
    assert thermal(COUNTS / 100, **options, unit="kelvin") == expected
    assert thermal(COUNTS / 100 - 273.15, **options) == expected
    assert thermal((COUNTS // 10).astype(np.uint16), **options, kelvin_per_count=0.1) == pytest.approx(
        np.array(expected), abs=2e-3
    )
    for name in ("x.png", "x.tiff"):
        Image.fromarray(COUNTS).save(tmp_path / name)
        media = Media("thermal", path=str(tmp_path / name), options=options)
        assert load_thermal(media).round(5).tolist() == expected
    np.testing.assert_allclose(load_celsius(COUNTS), [[0, 20], [30, 40]], atol=1e-4)
    assert thermal(COUNTS, scaling="radiometric")[0][1] == pytest.approx(0.5)  # -20 to 60 degrees


def test_grey_that_is_stored_as_colour_is_its_brightness() -> None:
    grey = np.array([[0, 51], [102, 255]], np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(file, "PNG")
    for data in (file.getvalue(), np.stack([grey] * 3, axis=-1)):
        assert thermal(data) == [[0.0, 0.2], [0.4, 1.0]]


def test_dead_pixels_are_black() -> None:
    assert thermal(np.array([[np.nan, 20.0, 40.0, np.inf]]), scaling="min-max") == [[0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("array", "options", "problem"),
    [
        (np.full((2, 2), np.nan), {}, "NaN or infinite values only"),
        (np.full((2, 2), 300.0), {}, "from 300 to 300; say how"),
        (np.ones((2, 2), np.uint8), {"scaling": "radiometric"}, "has 8 bits, too few for counts"),
        (COUNTS, {"scaling": "radiometric", "temperatures": [40, 0]}, "two numbers, the first below the second"),
        (COUNTS, {"percentiles": [0, 101]}, "two numbers"),
        (COUNTS, {"scaling": "log"}, "allowed: full, min-max, radiometric"),
        (np.ones((2, 2, 5)), {}, r"must be an array \[height, width\]"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_that_item(array: np.ndarray, options: dict, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        load_thermal(Media("thermal", data=array, options=options))
