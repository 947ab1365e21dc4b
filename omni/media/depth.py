"""Depth pictures: from 16-bit PNG, EXR, TIFF, NPY or arrays to metres, and to disparity, which depth encoders take.

Disparity = baseline x focal length / depth, in pixels: how far a point moves between two cameras side by side. It was
chosen by Girdhar et al. 2022 (Omnivore, arXiv:2201.08377) and kept by ImageBind; the baselines are theirs.
Shapes: H, W height and width in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omni.media.errors import MediaError
from omni.media.large_pictures import one_by_one
from omni.media.loading import loader
from omni.media.plane import load_plane
from omni.media.source import (
    Source,
    check_options,
    choice_option,
    describe_source,
    number_option,
    option,
)

DEPTH_EXTENSIONS = (".png", ".tif", ".tiff", ".exr", ".npy", ".pgm")
ENCODINGS = ("metres", "millimetres", "sun", "nyu", "disparity")
SUN_MAX_METRES = 8.0  # read3dPoints.m of the SUN RGB-D toolbox
# camera_params.m and depth_rel2depth_abs.m of the NYU Depth v2 toolbox
NYU_NUMERATOR, NYU_OFFSET, NYU_MAX_METRES = 351.3, 1092.5, 10.0
NYU_LARGEST_RAW = 2047  # 11 bits; this one stands for "unknown"

_OPTIONS = ("encoding", "units_per_metre", "max_metres", "sensor", "focal_length", "baseline", "intrinsics", "channel")


@dataclass(frozen=True)
class DepthCamera:
    """The camera's part of disparity: `focal_length` in pixels of the stored picture, `baseline` in metres."""

    focal_length: float
    baseline: float


# Baselines: Omnivore's authors. Focal lengths: the intrinsics that SUN RGB-D gives for most pictures of the sensor.
SENSORS = {
    "kv1": DepthCamera(518.86, 0.075),
    "kv2": DepthCamera(529.5, 0.075),
    "realsense": DepthCamera(691.58, 0.095),
    "xtion": DepthCamera(570.34, 0.095),
}
DEFAULT_SENSOR = "kv1"  # the first Kinect, with which NYU Depth v2 was taken


@loader
@one_by_one
def load_depth(
    source: Source,
    *,
    encoding: str | None = None,
    units_per_metre: float | None = None,
    max_metres: float | None = None,
) -> np.ndarray:
    """Load a depth picture as metres, float32 `[H, W]`; 0 where depth is unknown (0, negative, NaN or infinite).

    Args:
        source: a file, bytes, a picture or an array, see `omni.media.plane.load_plane`.
        encoding: what the numbers mean (default: the item's option, or "millimetres" for integers of 16 bits and more
            and "metres" for floats):
            "metres", "millimetres";
            "sun": SUN RGB-D's PNG, millimetres whose bits are rotated by three; cut at 8 m as its toolbox does;
            "nyu": the raw 11-bit values of NYU Depth v2's Kinect, of either byte order; cut at 10 m (its labelled part
            is in metres).
        units_per_metre: any other scale (5000 for TUM RGB-D, 256 for KITTI, 10000 for 0.1 mm), instead of `encoding`.
        max_metres: the distance that farther points get (default: the item's option, or the encoding's, or no limit).

    Raises:
        MediaError: the file cannot be read as one channel; the meaning of the numbers is not known (8 bits); no pixel
            has a known depth; an option is wrong.
    """
    name = describe_source(source)
    check_options(source, _OPTIONS)
    encoding = choice_option(source, "encoding", encoding, ENCODINGS, None)
    scale = number_option(source, "units_per_metre", units_per_metre, least=1e-6, most=1e9)
    if encoding is not None and scale is not None:
        raise MediaError(name, "has both options encoding and units_per_metre; give one of them")
    if encoding == "disparity":
        raise MediaError(name, "holds disparity, from which metres are not computed; see load_disparity")
    farthest = number_option(source, "max_metres", max_metres, least=1e-3, most=1e9)
    values = load_plane(source)
    if scale is None:
        encoding = encoding or _default_encoding(values, name)
        metres, limit = _to_metres(values, encoding, name)
    else:
        metres, limit = values.astype(np.float64) / scale, None
    farthest = limit if farthest is None else farthest
    known = np.isfinite(metres) & (metres > 0)
    if not known.any():
        raise MediaError(name, "has no pixel of known depth: all are 0, negative, NaN or infinite")
    metres = np.where(known, metres, 0)
    return (metres if farthest is None else metres.clip(max=farthest)).astype(np.float32)


@loader
@one_by_one
def load_disparity(
    source: Source,
    *,
    sensor: str | None = None,
    focal_length: float | None = None,
    baseline: float | None = None,
    intrinsics: Sequence[Any] | None = None,
    encoding: str | None = None,
) -> np.ndarray:
    """Load a depth picture as disparity in pixels, float32 `[H, W]`; 0 where depth is unknown.

    Args:
        source: as for `load_depth`, whose options count too; with the encoding "disparity" the numbers are taken as
            they are.
        sensor: the camera (default: the item's option, or "kv1"): "kv1" and "kv2" (Kinect), "realsense", "xtion".
        focal_length: in pixels of the stored picture (default: the item's option, or that of the intrinsics, or the
            sensor's).
        baseline: in metres (default: the item's option, or the sensor's).
        intrinsics: in place of focal_length, the camera's matrix `[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`, its nine
            numbers as in SUN RGB-D's `intrinsics.txt`, or `[fx, fy, cx, cy]`.

    Raises:
        MediaError: see `load_depth`; an option is wrong.
    """
    name = describe_source(source)
    check_options(source, _OPTIONS)
    if choice_option(source, "encoding", encoding, ENCODINGS, None) == "disparity":
        disparity = load_plane(source).astype(np.float32)
        known = np.isfinite(disparity) & (disparity > 0)
        if not known.any():
            raise MediaError(name, "has no pixel of known disparity: all are 0, negative, NaN or infinite")
        return np.where(known, disparity, np.float32(0))
    camera = SENSORS[str(choice_option(source, "sensor", sensor, SENSORS, DEFAULT_SENSOR))]
    matrix = option(source, "intrinsics", intrinsics)
    focal = camera.focal_length if matrix is None else _focal_length(matrix, name)
    focal = number_option(source, "focal_length", focal_length, least=1e-3, most=1e6, default=focal)
    distance = number_option(source, "baseline", baseline, least=1e-6, most=1e3, default=camera.baseline)
    assert focal is not None
    assert distance is not None
    metres = load_depth(source, encoding=encoding)
    disparity = np.zeros_like(metres)
    np.divide(np.float32(distance * focal), metres, out=disparity, where=metres > 0)
    return disparity


def _default_encoding(values: np.ndarray, name: str) -> str:
    if values.dtype.kind == "f":
        return "metres"
    if values.dtype.itemsize == 1:
        problem = "has 8 bits, which is no common form of depth; say what its numbers mean with the option"
        raise MediaError(name, f"{problem} units_per_metre, or encoding ({', '.join(ENCODINGS)})")
    return "millimetres"


def _to_metres(values: np.ndarray, encoding: str, name: str) -> tuple[np.ndarray, float | None]:
    """Return metres as float64, 0 or not finite where unknown, and the encoding's own limit in metres."""
    if encoding == "metres":
        return values.astype(np.float64), None
    if encoding == "millimetres":
        return values.astype(np.float64) / 1000, None
    stored = _sixteen_bits(values, encoding, name)
    if encoding == "sun":
        return ((stored >> 3) | (stored << 13)).astype(np.float64) / 1000, SUN_MAX_METRES
    if stored.max() > NYU_LARGEST_RAW:
        stored = stored.byteswap()
    if stored.max() > NYU_LARGEST_RAW:
        raise MediaError(name, f"holds {stored.max()} in either byte order; raw values of NYU are at most 2047")
    metres = NYU_NUMERATOR / (NYU_OFFSET - stored)
    # Beyond the offset the formula turns negative, and just before it the points are farther than the sensor sees.
    return np.where((stored > 0) & (stored < NYU_LARGEST_RAW), metres, 0), NYU_MAX_METRES


def _sixteen_bits(values: np.ndarray, encoding: str, name: str) -> np.ndarray:
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        found = f"{values.dtype} from {values.min():g} to {values.max():g}"
        raise MediaError(name, f"encoding {encoding} is of 16-bit integers, but this holds {found}")
    return values.astype(np.uint16)


def _focal_length(matrix: Any, name: str) -> float:
    """Return fx from a camera's matrix, from its nine numbers, or from [fx, fy, cx, cy]."""
    try:
        numbers = np.asarray(matrix, dtype=np.float64).reshape(-1)
    except (ValueError, TypeError):
        numbers = np.zeros(0)
    if len(numbers) not in (4, 9) or not np.isfinite(numbers).all() or numbers[0] <= 0:
        raise MediaError(name, f"the option intrinsics must be [fx, fy, cx, cy] or a 3 x 3 matrix, got {matrix!r}")
    return float(numbers[0])
