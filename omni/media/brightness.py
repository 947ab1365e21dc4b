"""From numbers of any type to the 256 steps of a picture, by one rule for all frames of an item."""

import math

import numpy as np

from omni.media.errors import MediaError

# How far resampling (bicubic, Lanczos) may overshoot, as a share of the range: pictures in 0-1 reach from -0.1 to 1.1.
OVERSHOOT = 0.1
# The least that the brightest of values in 0-255 must be: those between are neither, such as 1.5 of normalised ones.
_LEAST_OF_BYTES = 2.0

Range = tuple[float, float]


def range_of(values: np.ndarray) -> Range | None:
    """Return the least and the greatest finite number where their meaning depends on them (floats, and integers that
    are not of 8 or 16 bits without sign); None for others."""
    if values.dtype in (np.uint8, np.uint16) or values.dtype.kind not in "iuf" or values.size == 0:
        return None
    if values.dtype.kind != "f":
        return float(values.min()), float(values.max())
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return None
    low = values.min(where=is_finite, initial=math.inf)
    return float(low), float(values.max(where=is_finite, initial=-math.inf))


def joint_range(ranges: list[Range | None]) -> Range | None:
    """Return the range of all frames from that of each."""
    known = [one for one in ranges if one is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def is_unit_range(low: float, high: float) -> bool:
    """Tell whether floats of this range are in 0-1, give or take the overshoot of resampling."""
    return low >= -OVERSHOOT and high <= 1 + OVERSHOOT


def to_bytes(values: np.ndarray, name: str, *, white: int | None = None, item_range: Range | None = None) -> np.ndarray:
    """Return numbers as uint8, of the same shape.

    Args:
        values: bool; uint8; uint16, divided by 257; or others, in 0-255. Floats that are in 0-1 (see `is_unit_range`)
            are multiplied by 255. What resampling put beyond the range is cut off.
        name: for errors.
        white: the number that is white, if it is not the type's largest.
        item_range: of all frames of the item, by which the scale is chosen (default: of these values).

    Raises:
        MediaError: numbers are not finite, or in neither of these ranges.
    """
    if white is not None:
        return np.floor(values * (255.0 / white) + (0.5 + 1e-9)).clip(0, 255).astype(np.uint8)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return sixteen_to_eight(values)
    if not np.isfinite(values).all():
        raise MediaError(name, "holds NaN or infinite pixel values")
    low, high = item_range or range_of(values) or (0.0, 0.0)
    is_float = values.dtype.kind == "f"
    if is_float and is_unit_range(low, high):
        return np.rint(values.astype(np.float64) * 255).clip(0, 255).astype(np.uint8)
    # Normalised pictures (-2.1 to 2.6) are no overshoot: their least is nearly as far from 0 as their greatest.
    overshoot = OVERSHOOT * min(high, 255) if is_float else 0
    if low < -overshoot or high > 255 + overshoot or (is_float and high < _LEAST_OF_BYTES):
        raise MediaError(
            name,
            f"has pixel values from {low:g} to {high:g}; scale them to 0-255 (integers) or 0-1 (floats) before, as "
            "fits the sensor",
        )
    return np.rint(values).clip(0, 255).astype(np.uint8)


def sixteen_to_eight(values: np.ndarray) -> np.ndarray:
    """Return numbers of 0-65535 as those of 0-255, rounded: 65535 / 257 is 255 exactly."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
