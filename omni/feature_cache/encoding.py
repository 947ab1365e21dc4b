"""Encode through the feature cache: features that are there are not computed again, new ones are kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from torch import Tensor

from omni.augmentation import AugmentationDraw, RandomVersions
from omni.encoders.base import Encoder, Features
from omni.encoders.media_input import MediaInput
from omni.feature_cache.cache import FeatureCache
from omni.media.item import Media


def prepare_with_cache(
    cache: FeatureCache,
    fingerprint: str,
    encoder: Encoder,
    media: Media,
    augmentation: RandomVersions | None = None,
    draw: AugmentationDraw | None = None,
) -> MediaInput:
    """Return a media item with its features where they are cached, else preprocessed.

    With `augmentation` and `draw`, it is the view of the item that `draw` asks for.

    Raises:
        MediaError: the item cannot be read.
    """
    content_hash = media.content_hash()
    name = entry_name(content_hash, augmentation, draw)
    features = cache.get(name, fingerprint)
    if features is not None:
        return MediaInput(media.modality, None, features, content_hash=name)
    if augmentation is not None and draw is not None:
        media = augmentation.of_view(media, draw, content_hash)
    return MediaInput(media.modality, encoder.preprocess(media), None, content_hash=name)


def entry_name(content_hash: str, augmentation: RandomVersions | None, draw: AugmentationDraw | None) -> str:
    """Return the name in the cache of the features of an item of this content, or of a view of it."""
    return content_hash if augmentation is None or draw is None else augmentation.view_key(draw, content_hash)


def encode_with_cache(
    cache: FeatureCache,
    fingerprint: str,
    encode: Callable[[Sequence[MediaInput]], list[Features]],
    items: Sequence[MediaInput],
    encoder_name: str = "",
) -> list[Features]:
    """Return the features of media items of one encoder, in the cache's number format.

    An item without features is looked up once more, because it may have been encoded since it was prepared: by another
    process, or by this one, which may prepare far ahead. `encoder_name` is what people read of the encoder.
    """
    cache.name_encoder(fingerprint, encoder_name)
    looked_up = [_look_up(cache, fingerprint, item) for item in items]
    found = encode(looked_up)
    for index, (item, features) in enumerate(zip(looked_up, found, strict=True)):
        if item.features is None and item.content_hash is not None:
            found[index] = cache.put(item.content_hash, fingerprint, features)
    return found


def _look_up(cache: FeatureCache, fingerprint: str, item: MediaInput) -> MediaInput:
    if item.features is not None or item.content_hash is None:
        return item
    return replace(item, features=cache.get(item.content_hash, fingerprint))


class PinnedFingerprints:
    """Fingerprints of frozen encoders in microseconds, cheap enough for every sample.

    Weights that are changed, moved or loaded are noticed. Settings are taken as they were the first time:
    `Encoder.fingerprint` notices changed settings too, but it writes all of them out for that, which takes up to
    milliseconds.
    """

    def __init__(self) -> None:
        self._pinned: WeakKeyDictionary[Encoder, _Pinned] = WeakKeyDictionary()

    def of(self, encoder: Encoder) -> str:
        """Return `encoder.fingerprint()`."""
        pinned = self._pinned.get(encoder)
        if pinned is None or pinned.state != _state_of(pinned.tensors):
            tensors = [*encoder.parameters(), *encoder.buffers()]
            pinned = self._pinned[encoder] = _Pinned(encoder.fingerprint(), tensors, _state_of(tensors))
        return pinned.fingerprint

    def __deepcopy__(self, memo: object) -> "PinnedFingerprints":
        return PinnedFingerprints()  # a copied model has other encoders

    def __reduce__(self) -> tuple[type["PinnedFingerprints"], tuple[()]]:
        return PinnedFingerprints, ()


@dataclass(frozen=True)
class _Pinned:
    fingerprint: str
    tensors: list[Tensor]
    state: list[tuple[int, int]]


def _state_of(tensors: list[Tensor]) -> list[tuple[int, int]]:
    """Return place and version of each tensor; the version counts changes in place."""
    return [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]
