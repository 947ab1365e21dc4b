"""Put requests to a model: those that nobody has answered yet, in batches, shared among the processes of a launch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.items.prefix import Prefix
from eval.run.answering import Asker, Found, score_key, text_key
from eval.run.answers import Answers
from eval.run.batches import Batch, make_batches, share
from eval.run.cache import AnswerCache, of_process, remove_cache
from eval.run.processes import OneProcess, Processes
from eval.run.requests import Requests
from eval.run.timing import timed, total_seconds
from omni.model import OmniModel
from omni.prompts.chat_layout import IGNORED_LABEL
from omni.samples.messages import Message, Text


class NothingAnsweredError(ValueError):
    """The model could not answer a single request; the message holds the first reason."""


@dataclass(frozen=True)
class _Share:
    """What one process is to answer, with a model of this fingerprint; it keeps its answers next to `cache_path`."""

    batches: Sequence[Batch]
    prefixes: Mapping[str, Prefix]
    settings: Mapping[str, Mapping[str, Any]]
    fingerprint: str
    cache_path: Path | None


def ask(
    model: OmniModel,
    requests: Requests,
    cache: AnswerCache,
    *,
    batch_size: int,
    progress: bool = True,
    processes: Processes | None = None,
) -> Answers:
    """Answer all requests, on the first process; the others call `help_asking`.

    Raises:
        NothingAnsweredError: nothing could be answered at all, with the first reason.
        ProcessLostError: another process has ended.
    """
    processes = processes or OneProcess()
    found = Found()
    missing = _take_cached_scores(requests, cache, found)
    pending = _take_cached_texts(requests, cache, found)
    batches = make_batches(missing, pending, requests, batch_size)
    settings = {name: values for name, (values, _) in requests.generations.items()}
    shares = []
    for part in share(batches, processes.count):
        prefixes = {key: requests.prefixes[key] for batch in part for key in batch.prefix_keys}
        shares.append(_Share(part, prefixes, settings, cache.fingerprint, cache.path))
    mine = processes.hand_out(shares)
    assert mine is not None
    reports = processes.collect(_answer(model, mine, cache, progress))
    for rank, (other, _) in enumerate(reports):
        if rank:
            cache.put(_as_kept(other, requests, cache))
        found.add(other)
    processes.hand_out([None] * processes.count)  # now the others may throw away what they kept
    if found.failed and not found.scores and not found.texts:
        raise NothingAnsweredError(
            f"the model could not answer a single request; the first reason: {next(iter(found.failed.values()))}"
        )
    candidates = dict.fromkeys(candidate for _, candidate in found.scores)
    num_tokens = {candidate: count_answer_tokens(model, candidate) for candidate in candidates}
    return Answers(
        scores=found.scores,
        num_tokens=num_tokens,
        texts=found.texts,
        failed=found.failed,
        num_asked=found.num_asked,
        num_cached=found.num_cached,
        asked=frozenset(found.asked),
        seconds=total_seconds([times for _, times in reports]),
    )


def help_asking(model: OmniModel, processes: Processes) -> None:
    """Answer the share that the first process hands out, and end.

    The answers are kept in a file of this process, until the first one has them.

    Raises:
        ValueError: this process has another model than the first one.
        ProcessLostError: another process has ended.
    """
    mine = processes.hand_out(None)
    if mine is None:  # the first process gave up, and has said why
        return
    fingerprint = model.fingerprint()
    if fingerprint != mine.fingerprint:
        raise ValueError(
            f"process {processes.rank} has loaded another model ({fingerprint[:12]}) than the first process "
            f"({mine.fingerprint[:12]}): give all machines the same files"
        )
    model.eval()
    path = None if mine.cache_path is None else of_process(mine.cache_path, processes.rank)
    with AnswerCache(path, fingerprint) as cache:
        processes.collect(_answer(model, mine, cache, progress=False))
        processes.hand_out(None)
    if path is not None:
        remove_cache(path)


def _answer(model: OmniModel, mine: _Share, cache: AnswerCache, progress: bool) -> tuple[Found, dict[str, float]]:
    asker = Asker(model, mine.prefixes, mine.settings, cache)
    with timed(model) as seconds:
        found = asker.answer(mine.batches, progress=progress)
    return found, seconds


def _as_kept(found: Found, requests: Requests, cache: AnswerCache) -> dict[str, Any]:
    """The answers of another process by their keys in the cache, without texts that were drawn at random."""
    scores = {score_key(cache, *names): value for names, value in found.scores.items()}
    texts = {
        text_key(cache, prefix_key, settings): text
        for (settings, prefix_key), text in found.texts.items()
        if not requests.generations[settings][0].get("do_sample", False)
    }
    return scores | texts


def _take_cached_scores(requests: Requests, cache: AnswerCache, found: Found) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for prefix_key, candidates in requests.candidates.items():
        for candidate in candidates:
            value = cache.get(score_key(cache, prefix_key, candidate))
            if value is None:
                missing.setdefault(prefix_key, []).append(candidate)
            else:
                found.scores[prefix_key, candidate] = value
                found.num_cached += 1
    return missing


def _take_cached_texts(requests: Requests, cache: AnswerCache, found: Found) -> dict[str, list[str]]:
    pending: dict[str, list[str]] = {}
    for settings_key, (_, keys) in requests.generations.items():
        for prefix_key in keys:
            value = cache.get(text_key(cache, prefix_key, settings_key))
            if value is None:
                pending.setdefault(settings_key, []).append(prefix_key)
            else:
                found.texts[settings_key, prefix_key] = value
                found.num_cached += 1
    return pending


def count_answer_tokens(model: OmniModel, candidate: str) -> int:
    """Return how many tokens of a candidate count in its log-likelihood: its own and those that end the answer."""
    turns = (Message("user", (Text("?"),)), Message("assistant", (Text(candidate),)))
    return sum(label != IGNORED_LABEL for label in model.conversation.encode(turns, answer=True).labels)
