"""Answer a share of the requests: put batches to a model, surviving bad media, and keep each answer at once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tqdm import tqdm

from eval.items.prefix import Prefix
from eval.run.batches import Batch
from eval.run.cache import AnswerCache
from omni.model import OmniModel

Value = TypeVar("Value")

# Bad media or a too long prompt raise these; anything else is a mistake in code and ends the run.
ITEM_ERRORS = (ValueError, OSError, RuntimeError)


@dataclass
class Found:
    """The answers so far; see `eval.run.answers.Answers`."""

    scores: dict[tuple[str, str], float] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)  # keys of the prefixes that the model was asked about now
    num_asked: int = 0
    num_cached: int = 0

    def add(self, other: "Found") -> None:
        """Take in the answers of another process."""
        self.scores |= other.scores
        self.texts |= other.texts
        self.failed |= other.failed
        self.asked |= other.asked
        self.num_asked += other.num_asked
        self.num_cached += other.num_cached


def score_key(cache: AnswerCache, prefix_key: str, candidate: str) -> str:
    """Return the key in the cache of a candidate's log-likelihood after a prefix."""
    return cache.key("score", prefix_key, candidate)


def text_key(cache: AnswerCache, prefix_key: str, settings_key: str) -> str:
    """Return the key in the cache of the text that was generated after a prefix."""
    return cache.key("generate-v2", prefix_key, settings_key)


@dataclass
class Asker:
    """Puts batches to a model.

    Attributes:
        prefixes: those of the batches, by key.
        settings: generation settings by their digest.
        cache: keeps what is answered.
    """

    model: OmniModel
    prefixes: Mapping[str, Prefix]
    settings: Mapping[str, Mapping[str, Any]]
    cache: AnswerCache
    found: Found = field(default_factory=Found)

    def answer(self, batches: Sequence[Batch], *, progress: bool) -> Found:
        """Answer all batches. One that fails is asked one by one; a prefix that fails alone is in `Found.failed`."""
        total = sum(batch.num_answers for batch in batches)
        with tqdm(total=total, unit="answer", desc="asking the model", disable=not progress or total == 0) as bar:
            for batch in batches:
                if batch.settings:
                    self._generate_batch(batch)
                else:
                    self._score_batch(batch)
                bar.update(batch.num_answers)
        return self.found

    def _score_batch(self, batch: Batch) -> None:
        kept: dict[str, float] = {}
        keys = [*batch.candidates]
        for key, values in self._one_by_one_on_error(keys, lambda keys: self._score(keys, batch)):
            self.found.asked.add(key)
            if not all(math.isfinite(value) for value in values):
                self.found.failed[key] = f"the model's log-likelihoods are not finite: {values}"
                continue
            pairs = list(zip(batch.candidates[key], values, strict=True))
            kept |= {score_key(self.cache, key, candidate): value for candidate, value in pairs}
            self.found.scores.update({(key, candidate): value for candidate, value in pairs})
            self.found.num_asked += len(values)
        self.cache.put(kept)

    def _score(self, keys: Sequence[str], batch: Batch) -> list[list[float]]:
        messages = [self.prefixes[key].messages for key in keys]
        return self.model.score_batch(messages, [[*batch.candidates[key]] for key in keys]).double().tolist()

    def _generate_batch(self, batch: Batch) -> None:
        settings = self.settings[batch.settings]
        # A sampled answer is another one next time, so only deterministic ones are kept.
        deterministic = not settings.get("do_sample", False)
        kept: dict[str, str] = {}
        keys = [key for key in batch.generate if key not in self.found.failed]
        for key, text in self._one_by_one_on_error(keys, lambda keys: self._generate(keys, settings)):
            kept[text_key(self.cache, key, batch.settings)] = text
            self.found.texts[batch.settings, key] = text
            self.found.asked.add(key)
            self.found.num_asked += 1
        if deterministic:
            self.cache.put(kept)

    def _generate(self, keys: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
        texts: list[str] = self.model.generate([self.prefixes[key].messages for key in keys], **settings)
        return [text.strip() for text in texts]

    def _one_by_one_on_error(
        self, keys: Sequence[str], call: Callable[[Sequence[str]], list[Value]]
    ) -> list[tuple[str, Value]]:
        if not keys:
            return []
        try:
            return list(zip(keys, call(keys), strict=True))
        except ITEM_ERRORS as error:
            if len(keys) == 1:
                self.found.failed[keys[0]] = f"{type(error).__name__}: {error}"
                return []
        return [pair for key in keys for pair in self._one_by_one_on_error([key], call)]
