"""Depth, thermal and inertial media, as arrays; loaders of their file formats can be put in front of these."""

import numpy as np

from omni.encoders.imagebind.stems import IMU_CHANNELS, IMU_SAMPLES
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.source import content_of, describe_source


def depth_disparity(media: Media) -> np.ndarray:
    """Disparity float32 [height, width] (baseline x focal length / depth, in pixels; 0 where depth is unknown).

    Raises MediaError for anything but an array of finite numbers of two dimensions (or [1, height, width]).
    """
    return _plane(media, "disparity")


def thermal_brightness(media: Media) -> np.ndarray:
    """Brightness float32 [height, width] in 0-1; 8-bit arrays are divided by 255, 16-bit ones by 65535.

    Raises MediaError as `depth_disparity` does, and for floats outside 0-1.
    """
    array = _array(media)
    plane = _plane(media, "brightness")
    if array.dtype.kind in "iu":
        return plane / np.float32(np.iinfo(array.dtype).max)
    if plane.min() < 0 or plane.max() > 1:
        problem = f"holds values from {plane.min():g} to {plane.max():g}; brightness must be scaled to 0-1"
        raise MediaError(describe_source(media), problem)
    return plane


def inertial_samples(media: Media) -> np.ndarray:
    """Samples float32 [6, 2000]: accelerometer x, y, z (m/s2) and gyroscope x, y, z (rad/s), 5 s at 400 Hz.

    [2000, 6] is turned round. Raises MediaError for another shape or values that are not finite.
    """
    array = _array(media)
    if array.shape == (IMU_SAMPLES, IMU_CHANNELS):
        array = array.T
    if array.shape != (IMU_CHANNELS, IMU_SAMPLES):
        problem = f"a recording must be an array [6, 2000] (5 s at 400 Hz), got {list(array.shape)}; resample it"
        raise MediaError(describe_source(media), problem)
    return _finite(array, media)


def _array(media: Media) -> np.ndarray:
    content = content_of(media)
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "biuf":
        raise MediaError(describe_source(media), f"{media.modality} must be given as an array of numbers")
    return content


def _plane(media: Media, what: str) -> np.ndarray:
    array = _array(media)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or array.size == 0:
        problem = f"{what} must be an array [height, width], got {list(array.shape)}"
        raise MediaError(describe_source(media), problem)
    return _finite(array, media)


def _finite(array: np.ndarray, media: Media) -> np.ndarray:
    if not np.isfinite(array).all():
        raise MediaError(describe_source(media), "holds NaN or infinite values; fill or cut them out first")
    return np.ascontiguousarray(array, dtype=np.float32)
