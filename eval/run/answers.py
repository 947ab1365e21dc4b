"""The answers to requests: what came back, and which prefixes the model could not take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from eval.items.prefix import Prefix, digest


@dataclass(frozen=True)
class Answers:
    """What the model answered.

    Attributes:
        scores: (prefix key, candidate) -> natural-log likelihood of the candidate, summed over its tokens.
        num_tokens: candidate -> the number of its tokens that count in its likelihood, those that end it included.
        texts: (digest of the settings, prefix key) -> generated text.
        failed: prefix key -> why the model could not take it.
        num_asked: answers that the model was asked for now; the others came from the cache.
        num_cached: answers that came from the cache.
        embeddings: prefix key -> for each of its media the embeddings [N, D] that a joint space compares it by.
        logit_scale: what a joint space multiplies similarities by before a softmax.
        asked: keys of the prefixes that the model was asked about now.
        seconds: part -> how long it took, of all processes together; see `eval.run.timing`.
    """

    scores: Mapping[tuple[str, str], float]
    num_tokens: Mapping[str, int]
    texts: Mapping[tuple[str, str], str]
    failed: Mapping[str, str]
    num_asked: int = 0
    num_cached: int = 0
    embeddings: Mapping[str, Sequence[torch.Tensor]] = field(default_factory=dict)
    logit_scale: float = 1.0
    asked: frozenset[str] = frozenset()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def likelihoods(self, prefix: Prefix, candidates: Sequence[str]) -> list[float] | None:
        """Return the log-likelihood of each candidate after a prefix; None if the model could not take the prefix."""
        if prefix.key in self.failed:
            return None
        return [self.scores[prefix.key, candidate] for candidate in candidates]

    def num_bytes(self, candidate: str) -> int:
        """Return the length that the likelihood of a candidate is divided by, its UTF-8 bytes; at least 1."""
        return max(1, len(candidate.encode()))

    def text(self, prefix: Prefix, settings: Mapping[str, Any]) -> str | None:
        """Return the text generated after a prefix; None if the model could not take the prefix."""
        return self.texts.get((digest(settings), prefix.key))
