"""Which preview an item gets: the one of its encoder, or else the usual one of its modality."""

from collections.abc import Callable

import numpy as np

from omni.encoders.base import Encoder
from omni.media.errors import MediaError
from omni.media.features import load_features
from omni.media.item import Media
from omni.media.npy import read_npy
from omni.previews.drawing import draw_heat_map
from omni.previews.film import preview_video
from omni.previews.kinds import Curves, Picture, Preview, Words
from omni.previews.planes import preview_depth, preview_image, preview_thermal
from omni.previews.recordings import preview_imu, preview_sound
from omni.previews.shape import preview_shape

_MOST_CHANNELS = 64  # of a table that is drawn as curves
_MOST_CHARACTERS = 2000

# by the modality that the encoder is made for, whatever name it has in the model
_USUAL: dict[str, Callable[[Media], Preview]] = {
    "image": preview_image,
    "video": preview_video,
    "sound": preview_sound,
    "audio": preview_sound,
    "speech": preview_sound,
    "point_cloud": preview_shape,
    "3d": preview_shape,
    "depth": preview_depth,
    "thermal": preview_thermal,
    "imu": preview_imu,
}


def preview(media: Media, encoder: Encoder | None = None) -> Preview:
    """Return what a person is shown of a media item.

    It is what the encoder's own `preview(media)` says, or else the usual for its modality: a picture as the encoder
    sees it (upright, on white), a player with waveform and spectrogram, a film with its frames and sound, a 3D object,
    depth and temperatures in false colours with their scale, curves of an IMU. Ready-made features are a heat map,
    arrays of other modalities curves, and everything else is named in words.

    Args:
        media: the item.
        encoder: the encoder that the model reads it with; None = the model is not at hand, so that the modality's name
            alone says what the item is.

    Raises:
        MediaError: the item cannot be read.
    """
    if media.features is not None:
        return _of_features(media)
    own = None if encoder is None else encoder.preview(media)
    if own is not None:
        return own
    usual = _USUAL.get(media.modality if encoder is None else encoder.modality)
    return _of_unknown(media) if usual is None else usual(media)


def _of_features(media: Media) -> Preview:
    values = load_features(media)
    caption = f"{len(values)} feature{'s' * (len(values) != 1)} of width {values.shape[1]}"
    return Picture(draw_heat_map(values, "width", "features"), caption)


def _of_unknown(media: Media) -> Preview:
    array = media.data if isinstance(media.data, np.ndarray) else None
    if isinstance(media.path, str) and media.path.lower().endswith(".npy"):
        array = read_npy(media.path, media.describe())
    if isinstance(media.path, str) and media.path.lower().endswith((".txt", ".csv", ".json")):
        with open(media.path, encoding="utf-8", errors="replace") as file:
            return Words(file.read(_MOST_CHARACTERS))
    if array is None:
        return Words(media.describe())
    if array.dtype.kind not in "biuf":
        raise MediaError(media.describe(), f"holds {array.dtype}, which are no numbers")
    if array.ndim == 1:
        array = array[:, None]
    caption = f"array {list(array.shape)}"
    if array.ndim != 2 or array.size == 0:
        return Words(f"{media.modality}: {caption}")
    values = np.asarray(array, dtype=np.float32)
    if values.shape[1] <= _MOST_CHANNELS:
        seconds = len(values) / media.sampling_rate if media.sampling_rate else None
        return Curves(values, [f"channel {index + 1}" for index in range(values.shape[1])], seconds, caption)
    return Picture(draw_heat_map(values, "columns", "rows"), caption)
