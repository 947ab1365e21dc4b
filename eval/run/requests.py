"""Requests to the model: a prefix (media and text) with candidates to score, or to be answered in free text.

A request is named by its content (hashes of the media, text, settings), not by task or item. So the same question
asked by two tasks, or by a control of one item and by another item itself, is asked once; and a task whose prompt
changes asks anew.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from omni.samples.messages import Media, Message, Text

# Part of every cache key: rises when requests are put to the model in another way.
REQUEST_VERSION = 1


@dataclass(frozen=True)
class Prefix:
    """All that stands before the answer: media, then text, in one user turn."""

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


@dataclass
class Requests:
    """What is to be asked, each thing once: candidates by prefix, and free answers by settings and prefix."""

    prefixes: dict[str, Prefix] = field(default_factory=dict)
    candidates: dict[str, dict[str, None]] = field(default_factory=dict)
    generations: dict[str, tuple[dict[str, Any], dict[str, None]]] = field(default_factory=dict)

    def score(self, prefix: Prefix, candidates: Iterable[str]) -> None:
        """Ask for the log-likelihood of each candidate after the prefix."""
        self.prefixes[prefix.key] = prefix
        self.candidates.setdefault(prefix.key, {}).update(dict.fromkeys(candidates))

    def generate(self, prefix: Prefix, settings: Mapping[str, Any]) -> None:
        """Ask for a free answer."""
        self.prefixes[prefix.key] = prefix
        self.generations.setdefault(digest(settings), (dict(settings), {}))[1][prefix.key] = None


def digest(value: Any) -> str:
    """sha256 of the JSON form of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
