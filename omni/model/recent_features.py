"""Features of media that were encoded a moment ago: questions about the same picture read and encode it once."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from omni.encoders.base import Encoder, Features
from omni.encoders.media_input import MediaInput
from omni.samples.messages import Media

_MAX_WAITING = 256  # items that were preprocessed and then not encoded, since others of their batch were bad

Key = tuple[str, str]  # modality, hash of the content


class RecentFeatures:
    """Keeps features in memory, bit by bit as they are, and forgets those that were used longest ago.

    Weights and settings of the encoders must not change while it is in use. Threads may use it at the same time.

    Args:
        max_bytes: the most that it keeps, and the most of preprocessed items that wait to be encoded.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = Lock()
        self._kept: OrderedDict[Key, Features] = OrderedDict()
        self._waiting: OrderedDict[Key, MediaInput] = OrderedDict()
        self._num_bytes = 0
        self._waiting_bytes = 0

    def prepare(self, media: Media, encoder: Encoder) -> MediaInput:
        """Return a media item with its features if they are kept, else preprocessed.

        Raises:
            MediaError, OSError: the item cannot be read.
        """
        content = media.content_hash()
        key = (media.modality, content)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return MediaInput(media.modality, None, self._kept[key], content_hash=content)
            if key in self._waiting:
                return self._waiting[key]
        found = MediaInput(media.modality, encoder.preprocess(media), None, content_hash=content)
        with self._lock:
            return self._wait(key, found)

    def holds(self, item: MediaInput) -> bool:
        """Return whether the features of an item that `prepare` made are kept."""
        with self._lock:
            return _key(item) in self._kept

    def encode(
        self, items: Sequence[MediaInput], encode: Callable[[Sequence[MediaInput]], list[Features]]
    ) -> list[Features]:
        """Return the features of items; each content among those that `prepare` made is encoded once, and kept."""
        found: dict[Key, Features] = {}
        new: dict[Key, MediaInput] = {}
        with self._lock:
            for item in items:
                key = _key(item)
                if item.features is None and key in self._kept:  # it was encoded after this one was prepared
                    found[key] = self._kept[key]
                elif item.features is None:
                    new.setdefault(key, item)
        encoded = dict(zip(new, encode([*new.values()]), strict=True)) if new else {}
        with self._lock:
            for key, features in encoded.items():
                if self._forget_waiting(key):
                    self._keep(key, features)
        found |= encoded
        return [item.features or found[_key(item)] for item in items]

    def _wait(self, key: Key, item: MediaInput) -> MediaInput:
        """Keep a preprocessed item until it is encoded; the oldest go, since others of their batch may be bad."""
        if key in self._waiting:  # another thread was faster
            return self._waiting[key]
        self._waiting[key] = item
        self._waiting_bytes += _input_bytes(item)
        while len(self._waiting) > _MAX_WAITING or (self._waiting_bytes > self.max_bytes and len(self._waiting) > 1):
            self._forget_waiting(next(iter(self._waiting)))
        return item

    def _forget_waiting(self, key: Key) -> bool:
        item = self._waiting.pop(key, None)
        if item is None:
            return False
        self._waiting_bytes -= _input_bytes(item)
        return True

    def _keep(self, key: Key, features: Features) -> None:
        kept = Features(*(tensor.clone() for tensor in features))  # a part of a batch would keep all of the batch
        self._kept[key] = kept
        self._num_bytes += _num_bytes(kept)
        while self._num_bytes > self.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._num_bytes -= _num_bytes(oldest)

    @property
    def num_bytes(self) -> int:
        """Bytes of the features that are kept."""
        return self._num_bytes

    def __len__(self) -> int:
        return len(self._kept)


def _key(item: MediaInput) -> Key:
    return item.modality, item.content_hash or f"item {id(item)}"


def _input_bytes(item: MediaInput) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (item.inputs or {}).values())


def _num_bytes(features: Features) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in features)
