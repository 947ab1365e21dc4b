"""Requests to the model: a prefix (media and text) with candidates to score, or to be answered in free text.

A request is named by its content (hashes of the media, text, settings), not by task or item. So the same question
asked by two tasks, or by a control of one item and by another item itself, is asked once; and a task whose prompt
changes asks anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eval.items.prefix import Prefix, digest

# Part of every cache key: rises when requests are put to the model in another way.
REQUEST_VERSION = 1


@dataclass
class Requests:
    """Everything that is to be asked, each thing once: candidates by prefix, free answers by settings and prefix.

    Of a joint space, embeddings are asked for, by prefix.
    """

    prefixes: dict[str, Prefix] = field(default_factory=dict)
    candidates: dict[str, dict[str, None]] = field(default_factory=dict)
    generations: dict[str, tuple[dict[str, Any], dict[str, None]]] = field(default_factory=dict)

    embeddings: dict[str, None] = field(default_factory=dict)

    def embed(self, prefix: Prefix) -> None:
        """Ask for the embeddings of each medium of the prefix; its text is not read."""
        self.prefixes[prefix.key] = prefix
        self.embeddings[prefix.key] = None

    def score(self, prefix: Prefix, candidates: Iterable[str]) -> None:
        """Ask for the log-likelihood of each candidate after the prefix."""
        self.prefixes[prefix.key] = prefix
        self.candidates.setdefault(prefix.key, {}).update(dict.fromkeys(candidates))

    def generate(self, prefix: Prefix, settings: Mapping[str, Any]) -> None:
        """Ask for a free answer, generated with transformers' generation options."""
        self.prefixes[prefix.key] = prefix
        self.generations.setdefault(digest(settings), (dict(settings), {}))[1][prefix.key] = None
