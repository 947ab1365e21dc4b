"""Choose how a medium is cut, by its kind."""

from collections.abc import Callable

from omni.media.item import Media
from omni.media.parts.cloud import CloudParts
from omni.media.parts.contract import MediaParts
from omni.media.parts.features import FeatureParts
from omni.media.parts.frames import FrameParts
from omni.media.parts.picture import PictureParts, PlaneParts
from omni.media.parts.series import SeriesParts
from omni.media.parts.sound import SoundParts

_KINDS: dict[str, Callable[[Media, int], MediaParts]] = {
    "picture": PictureParts,
    "depth": PlaneParts,
    "thermal": PlaneParts,
    "video": FrameParts.of_media,
    "cloud": CloudParts,
    "imu": SeriesParts.of_imu,
}


def cut(media: Media, medium: str | None, most: int, frequency_bands: int = 1) -> MediaParts | None:
    """Cut a medium into at most `most` parts; None = it is not known how.

    Args:
        media: the item.
        medium: its kind, see `omni.encoders.base.Encoder.medium`; None = an array is cut along its first axis.
        most: the most parts.
        frequency_bands: bands into which the windows of a sound are cut too.

    Raises:
        MediaError: it cannot be read.
        ValueError: the kind is not known.
    """
    if media.features is not None:
        return FeatureParts(media, most)
    if medium is None:
        return SeriesParts.of_array(media, most)
    if medium == "sound":
        return SoundParts(media, most, frequency_bands)
    if medium not in _KINDS:
        raise ValueError(f"medium is {medium!r}; allowed: sound, {', '.join(_KINDS)}, or None for arrays [T, ...]")
    return _KINDS[medium](media, most)
