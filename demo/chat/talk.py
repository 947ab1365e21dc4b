"""Answers of the page: from a question that was typed to the turns that are shown, piece by piece."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from demo.chat.modalities import AttachmentError
from demo.chat.store import Store
from demo.chat.turns import MOST_CHARACTERS, Attachment, Conversation, Turn, interleave
from demo.serving.budget import Budget
from omni.answering import Answering, Finished, Piece, Sampling
from omni.model import OmniModel
from omni.samples.messages import Message, SampleError

ANSWER_SECONDS = 300.0  # after which an answer ends, whatever there is of it
VISITOR_SECONDS = 1800.0  # of answering, for one visitor in an hour
MOST_NEW_TOKENS = 2048
_PLACE = re.compile(r"\S*[/\\][0-9a-f]{32,128}[/\\]")  # of uploads: the hash of their content is their folder
_SHOWN_EVERY = 0.08  # seconds between two pictures of a growing answer
NOTES = {
    "length": "Cut at the longest answer of {limit} tokens: raise it in the settings, or ask for less.",
    "context": "Cut where the model's context is full: begin a new conversation, or forget earlier turns.",
    "timeout": "Cut after {seconds:.0f} seconds.",
}


class RefusedError(ValueError):
    """A question cannot be asked as it is; the message says why, and `kept` are the files that are good."""

    def __init__(self, message: str, kept: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kept = list(kept)


@dataclass(frozen=True)
class Settings:
    """What the user set: each has the name of the page's control."""

    system: str = ""
    max_new_tokens: int = 64
    temperature: float = 0.0
    num_beams: int = 1
    seed: int = 0
    forgets: bool = False

    def sampling(self) -> Sampling:
        """Return how tokens are chosen.

        Raises:
            ValueError: values that do not go together.
        """
        if self.num_beams > 1 and self.temperature > 0:
            raise ValueError("a beam search takes no temperature: set the beams to 1, or the temperature to 0")
        length = min(int(self.max_new_tokens), MOST_NEW_TOKENS)
        return Sampling(length, temperature=self.temperature, num_beams=int(self.num_beams), seed=int(self.seed))


class Talk:
    """Ask a model on behalf of visitors.

    Args:
        model: the model.
        answering: what answers its conversations.
        store: the uploads.
    """

    def __init__(self, model: OmniModel, answering: Answering, store: Store) -> None:
        self.model, self.answering, self.store = model, answering, store
        self.budget = Budget(VISITOR_SECONDS, 3600, "seconds of answers")

    def question(self, text: str, paths: Sequence[str], choices: Mapping[str, str]) -> Turn:
        """Return the turn that was typed, its files read once.

        Args:
            text: what was typed, with marks (`[1]`) where files stand in it.
            paths: the attached files, in order.
            choices: the modality of files that could be several, by their upload names.

        Raises:
            RefusedError: a file cannot be used, or there is too much text.
        """
        if len(text) > MOST_CHARACTERS:
            raise RefusedError(
                f"a question has at most {MOST_CHARACTERS:,} characters, this one has {len(text):,}", paths
            )
        attachments, errors, kept = [], [], []
        for path in paths:
            try:
                attachments.append(self._attach(path, choices))
                kept.append(path)
            except AttachmentError as error:
                errors.append(str(error))
                kept += [path] if self._is_only_undecided(path, choices) else []
        if errors:
            raise RefusedError("\n\n".join(errors), kept)
        return Turn("user", interleave(text, attachments))

    def messages(self, conversation: Conversation, settings: Settings) -> tuple[Message, ...]:
        """Return what the model gets of a conversation."""
        return conversation.to_messages(self.store.media_of, settings.system, settings.forgets)

    async def answer(
        self, conversation: Conversation, settings: Settings, visitor: str
    ) -> AsyncGenerator[tuple[Conversation, bool]]:
        """Yield the conversation with the answer to its last turn so far, and whether it is whole.

        Raises:
            ValueError, RuntimeError, OSError: there is no answer; the message says why.
        """
        sampling = settings.sampling()
        messages = self.messages(conversation, settings)
        shown, text = 0.0, ""
        with self.charged(visitor):
            async with aclosing(_events(self.answering, messages, sampling)) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        text += event.text
                        if time.monotonic() - shown > _SHOWN_EVERY:
                            shown = time.monotonic()
                            yield conversation.with_turn(Turn("assistant", (text.strip(),))), False
                        continue
                    note = NOTES.get(event.reason, "").format(limit=sampling.max_new_tokens, seconds=ANSWER_SECONDS)
                    if not text.strip():
                        note = note or "The model ended its answer before the first word. Ask in other words."
                    yield conversation.with_turn(Turn("assistant", (text.strip(),), note)), True

    @contextmanager
    def charged(self, visitor: str) -> Iterator[None]:
        """Count the seconds inside against what one visitor is given.

        Raises:
            OverBudgetError: the visitor has had that.
        """
        self.budget.check(visitor)
        started = time.monotonic()
        try:
            yield
        finally:
            self.budget.use(visitor, time.monotonic() - started)

    def _attach(self, path: str, choices: Mapping[str, str]) -> Attachment:
        upload = self.store.name_of(path)
        uploads = self.store.uploads
        modality = uploads.choose(path, choices.get(upload))
        uploads.check(path, modality)
        return Attachment(upload, modality, self.tokens(path, modality))

    def tokens(self, path: str, modality: str) -> int | None:
        """Return how many tokens of the LLM's context a file takes; None if only its encoder can tell."""
        try:
            return self.model.modality(modality).measure(self.store.uploads.by_modality[modality].media(path))
        except (ValueError, OSError):
            return None

    def _is_only_undecided(self, path: str, choices: Mapping[str, str]) -> bool:
        try:
            candidates = self.store.uploads.candidates(path)
            return len(candidates) > 1 and choices.get(self.store.name_of(path)) not in candidates
        except AttachmentError:
            return False


def reason_of(error: Exception) -> str:
    """Return what went wrong, in words for people."""
    return without_folders(str(error.reason if isinstance(error, SampleError) else error)) or type(error).__name__


def without_folders(text: str) -> str:
    """Return a text in which uploads have their own names, and not their places on the server."""
    return _PLACE.sub("", text)


def without_last_answer(conversation: Conversation) -> Conversation:
    """Return the conversation up to its last question, to be answered again."""
    before, turn = conversation.before_last_question()
    return before if turn is None else before.with_turn(replace(turn, note=""))


async def _events(
    answering: Answering, messages: Sequence[Message], sampling: Sampling
) -> AsyncGenerator[Piece | Finished]:
    """Yield what comes of an answer; leaving the iterator early cancels it."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Any] = asyncio.Queue()

    def hear(event: Piece | Finished | Exception) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    answer = answering.submit(messages, sampling, timeout=ANSWER_SECONDS, on_event=hear)
    try:
        while True:
            event = await events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Finished):
                return
    finally:
        answer.cancel()
