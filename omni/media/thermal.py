"""Thermal pictures: 8 or 16 bits, counts of a radiometric camera or temperatures, to brightness in 0-1.

Shapes: H, W height and width in pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from omni.media.brightness import is_unit_range
from omni.media.errors import MediaError
from omni.media.large_pictures import one_by_one
from omni.media.loading import loader
from omni.media.plane import load_plane, load_stored_plane
from omni.media.source import Source, check_options, choice_option, describe_source, number_option, option
from omni.media.stored import StoredNumbers

THERMAL_EXTENSIONS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy", ".exr", ".pgm")
SCALINGS = ("full", "min-max", "radiometric")
UNITS = {"celsius": 0.0, "kelvin": -273.15}  # added to get degrees Celsius
KELVIN_PER_COUNT = 0.01  # FLIR's TLinear in high resolution, Lepton and Boson: 29315 counts are 20 degrees Celsius
DEFAULT_RANGE = (-20.0, 60.0)  # degrees Celsius: the outdoors in winter, people, machines at work

_OPTIONS = ("scaling", "percentiles", "kelvin_per_count", "unit", "temperatures", "channel")


@loader
@one_by_one
def load_thermal(
    source: Source, *, scaling: str | None = None, temperatures: Sequence[float] | None = None
) -> np.ndarray:
    """Load a thermal picture as brightness float32 `[H, W]` in 0-1, warm is bright.

    Args:
        source: a file, bytes, a picture or an array, see `omni.media.plane.load_plane`. Pictures in colour give
            their brightness (many cameras store grey as three channels), which for false colours is no temperature.
        scaling: how numbers become brightness (default: the item's option, or "full" for 8 bits and for floats in 0-1,
            and "min-max" for integers of more bits):
            "full": 0 is black, the largest number of the type (1 of floats) is white;
            "min-max": the least of the picture is black, its greatest white; the item's option `percentiles`
            (`[1, 99]`) keeps single pixels from deciding. A picture of one value is black;
            "radiometric": temperatures, from the first of `temperatures` (black) to the second (white). Integers are
            counts of 0.01 K (the item's option `kelvin_per_count`), floats degrees Celsius (or the option `unit`:
            "kelvin").
        temperatures: for "radiometric", in degrees Celsius (default: the item's option, or -20 to 60).

    Pixels that are NaN or infinite are black, if others are not.

    Raises:
        MediaError: the file cannot be read as one channel; no pixel is finite; floats outside 0-1 come without a
            scaling; an option is wrong.
    """
    name = describe_source(source)
    check_options(source, _OPTIONS)
    chosen = choice_option(source, "scaling", scaling, SCALINGS, None)
    stored = load_stored_plane(source, colour=True)
    values = stored.values
    known = np.isfinite(values)
    if not known.any():
        raise MediaError(name, "holds NaN or infinite values only")
    if chosen == "radiometric":
        low, high = _pair(option(source, "temperatures", temperatures), "temperatures", DEFAULT_RANGE, name)
        brightness = (_celsius(values, source) - low) / (high - low)
        # Temperatures are the stored numbers, however a viewer would show them.
        return np.where(known, brightness, 0).clip(0, 1).astype(np.float32)
    if chosen == "min-max" or (chosen is None and values.dtype.kind in "iu" and values.dtype.itemsize > 1):
        brightness = _min_max(values, known, _pair(option(source, "percentiles", None), "percentiles", (0, 100), name))
    else:
        brightness = _full(stored, known, name)
    brightness = 1 - brightness if stored.zero_is_white else brightness
    return np.where(known, brightness, 0).clip(0, 1).astype(np.float32)


@loader
@one_by_one
def load_celsius(source: Source) -> np.ndarray:
    """Load a radiometric picture as degrees Celsius, float32 `[H, W]`; NaN where it holds no number.

    Integers are counts and floats temperatures, by the item's options `kelvin_per_count` and `unit` (see
    `load_thermal`).

    Raises:
        MediaError: see `load_thermal`.
    """
    check_options(source, _OPTIONS)
    return _celsius(load_plane(source), source).astype(np.float32)


def _celsius(values: np.ndarray, source: Source) -> np.ndarray:
    per_count = number_option(source, "kelvin_per_count", None, least=1e-6, most=1e3)
    unit = choice_option(source, "unit", None, UNITS, None)
    if values.dtype.kind != "f" and values.dtype.itemsize == 1 and per_count is None and unit is None:
        problem = "has 8 bits, too few for counts of 0.01 K; give the option kelvin_per_count or unit"
        raise MediaError(describe_source(source), problem)
    if per_count is None and (values.dtype.kind == "f" or unit is not None):
        return values.astype(np.float64) + UNITS[unit or "celsius"]
    return values.astype(np.float64) * (per_count or KELVIN_PER_COUNT) + UNITS["kelvin"]


def _min_max(values: np.ndarray, known: np.ndarray, percentiles: tuple[float, float]) -> np.ndarray:
    wide = values.astype(np.float64)
    low, high = np.percentile(wide[known], percentiles)
    return (wide - low) / (high - low) if high > low else np.zeros_like(wide)


def _full(stored: StoredNumbers, known: np.ndarray, name: str) -> np.ndarray:
    values = stored.values
    if stored.white is not None:
        return values / stored.white
    if values.dtype.kind == "b":
        return values.astype(np.float64)
    if values.dtype.kind in "iu":
        return values / np.iinfo(values.dtype).max
    low, high = values[known].min(), values[known].max()
    if not is_unit_range(float(low), float(high)):
        problem = f"holds values from {low:g} to {high:g}; say how they become brightness with the option scaling"
        raise MediaError(name, f"{problem} (min-max or radiometric), or scale them to 0-1 before")
    return values.astype(np.float64)


def _pair(value: Any, key: str, default: tuple[float, float], name: str) -> tuple[float, float]:
    """Return two finite numbers, the first below the second."""
    if value is None:
        return default
    try:
        low, high = (float(number) for number in value)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not (np.isfinite([low, high]).all() and low < high) or (key == "percentiles" and not 0 <= low < high <= 100):
        raise MediaError(name, f"the option {key} must be two numbers, the first below the second, got {value!r}")
    return low, high
