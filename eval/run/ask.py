"""Put requests to a model: in batches, through the cache, surviving bad media, with a progress bar."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tqdm import tqdm

from eval.run.answers import Answers
from eval.run.cache import AnswerCache
from eval.run.requests import Requests
from omni.model import OmniModel
from omni.prompts.chat_layout import IGNORED_LABEL
from omni.samples.messages import Message, Text

Value = TypeVar("Value")

# Bad media or a too long prompt raise these; anything else is a mistake in code and ends the run.
ITEM_ERRORS = (ValueError, OSError, RuntimeError)


class NothingAnsweredError(ValueError):
    """The model could not answer a single request; the message holds the first reason."""


@dataclass
class _Found:
    """The answers so far; see `Answers`."""

    scores: dict[tuple[str, str], float] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    num_asked: int = 0
    num_cached: int = 0


def ask(model: OmniModel, requests: Requests, cache: AnswerCache, *, batch_size: int, progress: bool = True) -> Answers:
    """Answer all requests.

    A batch that fails is asked one by one; a prefix that fails alone is in `Answers.failed`.

    Raises:
        NothingAnsweredError: nothing could be answered at all, with the first reason.
    """
    found = _Found()
    missing = _take_cached_scores(requests, cache, found)
    pending = _take_cached_texts(requests, cache, found)
    total = sum(len(candidates) for candidates in missing.values()) + sum(len(keys) for keys in pending.values())
    with tqdm(total=total, unit="answer", desc="asking the model", disable=not progress or total == 0) as bar:
        asker = _Asker(model, requests, cache, found, bar)
        for batch in _score_batches(missing, batch_size):
            asker.score(batch)
        for settings_key, keys in pending.items():
            for start in range(0, len(keys), batch_size):
                asker.generate(settings_key, keys[start : start + batch_size])
    if found.failed and not found.scores and not found.texts:
        raise NothingAnsweredError(
            f"the model could not answer a single request; the first reason: {next(iter(found.failed.values()))}"
        )
    candidates = dict.fromkeys(candidate for _, candidate in found.scores)
    num_tokens = {candidate: count_answer_tokens(model, candidate) for candidate in candidates}
    return Answers(found.scores, num_tokens, found.texts, found.failed, found.num_asked, found.num_cached)


def _score_key(cache: AnswerCache, prefix_key: str, candidate: str) -> str:
    return cache.key("score", prefix_key, candidate)


def _text_key(cache: AnswerCache, prefix_key: str, settings_key: str) -> str:
    return cache.key("generate-v2", prefix_key, settings_key)


def _take_cached_scores(requests: Requests, cache: AnswerCache, found: _Found) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for prefix_key, candidates in requests.candidates.items():
        for candidate in candidates:
            value = cache.get(_score_key(cache, prefix_key, candidate))
            if value is None:
                missing.setdefault(prefix_key, []).append(candidate)
            else:
                found.scores[prefix_key, candidate] = value
                found.num_cached += 1
    return missing


def _take_cached_texts(requests: Requests, cache: AnswerCache, found: _Found) -> dict[str, list[str]]:
    pending: dict[str, list[str]] = {}
    for settings_key, (_, keys) in requests.generations.items():
        for prefix_key in keys:
            value = cache.get(_text_key(cache, prefix_key, settings_key))
            if value is None:
                pending.setdefault(settings_key, []).append(prefix_key)
            else:
                found.texts[settings_key, prefix_key] = value
                found.num_cached += 1
    return pending


def _score_batches(missing: dict[str, list[str]], batch_size: int) -> list[dict[str, list[str]]]:
    """Return batches of prefixes that need equally many candidates: the model takes lists of one length in a call."""
    groups: dict[int, list[str]] = {}
    for prefix_key, candidates in missing.items():
        groups.setdefault(len(candidates), []).append(prefix_key)
    return [
        {key: missing[key] for key in keys[start : start + batch_size]}
        for keys in groups.values()
        for start in range(0, len(keys), batch_size)
    ]


def count_answer_tokens(model: OmniModel, candidate: str) -> int:
    """Return how many tokens of a candidate count in its log-likelihood: its own and those that end the answer."""
    turns = (Message("user", (Text("?"),)), Message("assistant", (Text(candidate),)))
    return sum(label != IGNORED_LABEL for label in model.conversation.encode(turns, answer=True).labels)


@dataclass
class _Asker:
    model: OmniModel
    requests: Requests
    cache: AnswerCache
    found: _Found
    bar: "tqdm[Any]"

    def score(self, batch: dict[str, list[str]]) -> None:
        for key, values in self._one_by_one_on_error([*batch], lambda keys: self._score(keys, batch)):
            if not all(math.isfinite(value) for value in values):
                self.found.failed[key] = f"the model's log-likelihoods are not finite: {values}"
                continue
            pairs = list(zip(batch[key], values, strict=True))
            self.cache.put({_score_key(self.cache, key, candidate): value for candidate, value in pairs})
            self.found.scores.update({(key, candidate): value for candidate, value in pairs})
            self.found.num_asked += len(values)
        self.bar.update(sum(len(candidates) for candidates in batch.values()))

    def _score(self, keys: Sequence[str], batch: dict[str, list[str]]) -> list[list[float]]:
        messages = [self.requests.prefixes[key].messages for key in keys]
        return self.model.score_batch(messages, [batch[key] for key in keys]).double().tolist()

    def generate(self, settings_key: str, keys: list[str]) -> None:
        settings = self.requests.generations[settings_key][0]
        # A sampled answer is another one next time, so only deterministic ones are kept.
        deterministic = not settings.get("do_sample", False)
        keys = [key for key in keys if key not in self.found.failed]
        for key, text in self._one_by_one_on_error(keys, lambda keys: self._generate(keys, settings)):
            if deterministic:
                self.cache.put({_text_key(self.cache, key, settings_key): text})
            self.found.texts[settings_key, key] = text
            self.found.num_asked += 1
        self.bar.update(len(keys))

    def _generate(self, keys: Sequence[str], settings: dict[str, Any]) -> list[str]:
        texts: list[str] = self.model.generate([self.requests.prefixes[key].messages for key in keys], **settings)
        return [text.strip() for text in texts]

    def _one_by_one_on_error(
        self, keys: list[str], call: Callable[[Sequence[str]], list[Value]]
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
