"""The prefix of a request: everything that stands before the answer."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omni.samples.messages import Media, Message, Text


@dataclass(frozen=True)
class Prefix:
    """Media, then text, in one user turn."""

    media: tuple[Media, ...]
    prompt: str

    @cached_property
    def key(self) -> str:
        """Hash of the content. Raises what reading the media raises (a missing file)."""
        return digest([self.prompt, [[part.modality, part.content_hash()] for part in self.media]])

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that the model gets."""
        text = (Text(self.prompt),) if self.prompt else ()
        return (Message("user", self.media + text),)


def digest(value: Any) -> str:
    """Return the SHA-256 of the JSON form of a value, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
