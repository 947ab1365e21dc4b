"""Features of media that were encoded a moment ago: questions about the same picture read and encode it once."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from omni.encoders.base import Encoder, Features
from omni.encoders.media_input import MediaInput
from omni.samples.messages import Media

_MAX_WAITING = 256  # items that were preprocessed and then not encoded, since others of their batch were bad

Key = tuple[str, str]  # modality, hash of the content


class RecentFeatures:
    """Keeps features in memory, bit by bit as they are, and forgets those that were used longest ago.

    Weights and settings of the encoders must not change while it is in use.

    Args:
        max_bytes: the most that it keeps.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Key, Features] = OrderedDict()
        self._waiting: dict[Key, MediaInput] = {}
        self._num_bytes = 0

    def prepare(self, media: Media, encoder: Encoder) -> MediaInput:
        """Return a media item with its features if they are kept, else preprocessed.

        Raises:
            MediaError, OSError: the item cannot be read.
        """
        content = media.content_hash()
        key = (media.modality, content)
        if key in self._kept:
            self._kept.move_to_end(key)
            return MediaInput(media.modality, None, self._kept[key], content_hash=content)
        if key not in self._waiting:
            if len(self._waiting) >= _MAX_WAITING:
                self._waiting.clear()
            self._waiting[key] = MediaInput(media.modality, encoder.preprocess(media), None, content_hash=content)
        return self._waiting[key]

    def encode(
        self, items: Sequence[MediaInput], encode: Callable[[Sequence[MediaInput]], list[Features]]
    ) -> list[Features]:
        """Return the features of items; each content among those that `prepare` made is encoded once, and kept."""
        new: dict[Key, MediaInput] = {}
        for item in items:
            if item.features is None:
                new.setdefault(_key(item), item)
        found = dict(zip(new, encode([*new.values()]), strict=True)) if new else {}
        for key, features in found.items():
            if self._waiting.pop(key, None) is not None:
                self._keep(key, features)
        return [item.features or found[_key(item)] for item in items]

    def _keep(self, key: Key, features: Features) -> None:
        kept = Features(*(tensor.clone() for tensor in features))  # a part of a batch would keep all of the batch
        self._kept[key] = kept
        self._num_bytes += _num_bytes(kept)
        while self._num_bytes > self.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._num_bytes -= _num_bytes(oldest)

    def __len__(self) -> int:
        return len(self._kept)


def _key(item: MediaInput) -> Key:
    return item.modality, item.content_hash or f"item {id(item)}"


def _num_bytes(features: Features) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in features)
