"""Keep the media of large tables out of memory: past a limit, their bytes go to temporary files."""

import hashlib
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from omni.samples.messages import Media, Message, Sample, Text

_IN_MEMORY = 256 * 2**20  # bytes


class Spill:
    """Holds media that came as bytes: each content once, in memory up to a limit, then in files."""

    def __init__(self, limit: int = _IN_MEMORY) -> None:
        self._room = limit
        self._held: dict[bytes, Media] = {}

    def lightened(self, sample: Sample) -> Sample:
        """Return the same sample with media whose bytes are shared, or in a file."""
        if not any(isinstance(media.data, bytes) for media in sample.media):
            return sample
        return replace(sample, messages=tuple(self._message(message) for message in sample.messages))

    def _message(self, message: Message) -> Message:
        return Message(message.role, tuple(p if isinstance(p, Text) else self.stored(p) for p in message.content))

    def stored(self, media: Media) -> Media:
        """Return the same medium with bytes that are shared, or in a file."""
        if not isinstance(media.data, bytes):
            return media
        digest = hashlib.sha256(media.data).digest()
        held = self._held.get(digest)
        if held is None:
            held = self._held[digest] = self._kept(media.modality, media.data, digest)
        return replace(media, data=held.data, path=held.path)

    def _kept(self, modality: str, data: bytes, digest: bytes) -> Media:
        if len(data) <= self._room:
            self._room -= len(data)
            return Media(modality, data=data)
        path = Path(_folder().name) / digest.hex()
        if not path.exists():
            path.write_bytes(data)
        return Media(modality, path=str(path))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """The folder of the process, which goes when the process ends."""
    return tempfile.TemporaryDirectory(prefix="omni-media-", ignore_cleanup_errors=True)
