"""A conversation of the page: what the browser keeps of it, what the model gets of it, and what is typed into it.

The browser holds it as a text (JSON) and sends it back with every question. It names files by their upload and can
hold nothing else: no paths, no addresses, no turns but the user's and the assistant's.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import uuid4

from omni.media.item import Media
from omni.samples.messages import Message, Text

MOST_CHARACTERS = 100_000  # of one question
_MOST_TURNS, _MOST_PARTS, _MOST_JSON = 1000, 100, 1 << 20
_ID = re.compile(r"[0-9a-f-]{8,40}")
_MARK = re.compile(r"\[(\d{1,3})\]")


class ConversationError(ValueError):
    """What the browser sent is no conversation of this page."""


@dataclass(frozen=True)
class Attachment:
    """An uploaded file as a modality: `upload` is its name in the store, `tokens` its share of the context."""

    upload: str
    modality: str
    tokens: int | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.upload.rpartition("/")[2]


@dataclass(frozen=True)
class Turn:
    """One turn: texts and attachments in the order in which they stand, and what the page says of it."""

    role: Literal["user", "assistant"]
    parts: tuple[str | Attachment, ...]
    note: str = ""

    @property
    def text(self) -> str:
        """The text of the turn, without its attachments."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The attachments of the turn in order."""
        return tuple(part for part in self.parts if isinstance(part, Attachment))


@dataclass(frozen=True)
class Conversation:
    """Turns in order; `id` tells it from others in the same browser."""

    turns: tuple[Turn, ...] = ()
    id: str = field(default_factory=lambda: uuid4().hex)

    def with_turn(self, turn: Turn) -> "Conversation":
        """Return the conversation with one more turn."""
        return replace(self, turns=(*self.turns, turn))

    def before_last_question(self) -> tuple["Conversation", Turn | None]:
        """Return what stood before the user's last turn, and this turn."""
        for index in range(len(self.turns) - 1, -1, -1):
            if self.turns[index].role == "user":
                return replace(self, turns=self.turns[:index]), self.turns[index]
        return replace(self, turns=()), None

    def to_messages(
        self, media_of: Callable[[Attachment], Media], system: str = "", forgets: bool = False
    ) -> tuple[Message, ...]:
        """Return what the model gets, media where they stand.

        User turns that got no answer are left out: chat templates want the two to take turns. The last one is the one
        to be answered.

        Args:
            media_of: returns the media item of an attachment.
            system: the system prompt; empty = the model's own.
            forgets: whether only the last question counts.
        """
        messages: list[Message] = []
        for turn in self.turns[-1:] if forgets else self.turns:
            content = tuple(Text(part) if isinstance(part, str) else media_of(part) for part in turn.parts)
            if turn.role == "assistant" and not turn.text.strip():
                continue
            if messages and messages[-1].role == turn.role:
                messages.pop()
            messages.append(Message(turn.role, content))
        first = [Message("system", (Text(system),))] if system.strip() else []
        return (*first, *messages)

    def to_json(self) -> str:
        """Return the text that the browser keeps."""
        turns = [{"role": turn.role, "parts": [*map(_plain, turn.parts)], "note": turn.note} for turn in self.turns]
        return json.dumps({"id": self.id, "turns": turns}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Conversation":
        """Read the text that a browser sends; nothing at all is a new conversation.

        Raises:
            ConversationError: it is anything but a conversation of this page.
        """
        if not text:
            return cls()
        if len(text) > _MOST_JSON:
            raise ConversationError("the conversation is too long; begin a new one")
        try:
            value = json.loads(text)
            turns = tuple(_turn(turn) for turn in _list(value["turns"], _MOST_TURNS))
            return cls(turns, _matching(_ID, value["id"]))
        except ConversationError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConversationError("what the browser keeps is no conversation of this page") from error


def interleave(text: str, attachments: Sequence[Attachment]) -> tuple[str | Attachment, ...]:
    """Return parts in which each attachment stands at its mark (`[1]` for the first), or else in front of the text."""
    placed: set[int] = set()
    parts: list[str | Attachment] = []
    start = 0
    for mark in _MARK.finditer(text):
        number = int(mark.group(1)) - 1
        if number in placed or not 0 <= number < len(attachments):
            continue
        placed.add(number)
        parts += [text[start : mark.start()], attachments[number]]
        start = mark.end()
    parts.append(text[start:])
    in_front = [one for number, one in enumerate(attachments) if number not in placed]
    return tuple(part for part in (*in_front, *parts) if not isinstance(part, str) or part.strip())


def typed(turn: Turn) -> tuple[str, list[Attachment]]:
    """Return text and attachments that `interleave` would make the turn of again."""
    attachments = list(turn.attachments)
    first_text = next((index for index, part in enumerate(turn.parts) if isinstance(part, str)), len(turn.parts))
    text, number = "", 0
    for index, part in enumerate(turn.parts):
        if isinstance(part, str):
            text += part
            continue
        number += 1
        text += f"[{number}]" if index > first_text else ""
    return text, attachments


def _plain(part: str | Attachment) -> Any:
    if isinstance(part, str):
        return part
    return {"upload": part.upload, "modality": part.modality, "tokens": part.tokens}


def _turn(value: Any) -> Turn:
    role = value["role"]
    if role not in ("user", "assistant"):
        raise ConversationError(f"turns of role {str(role)[:20]!r} are not taken: the system prompt is a setting")
    parts = tuple(_part(part) for part in _list(value["parts"], _MOST_PARTS))
    if role == "assistant" and not all(isinstance(part, str) for part in parts):
        raise ConversationError("an answer holds no files")
    return Turn(role, parts, _text(value.get("note", "")))


def _part(value: Any) -> str | Attachment:
    if isinstance(value, str):
        return _text(value)
    if set(value) - {"upload", "modality", "tokens"}:
        raise ConversationError(f"a part holds {str(sorted(value))[:100]}, which this page does not write")
    tokens = value.get("tokens")
    if tokens is not None and type(tokens) is not int:
        raise ConversationError("'tokens' is no number")
    return Attachment(_text(value["upload"]), _text(value["modality"]), tokens)


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ConversationError(f"expected a list of at most {most}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        raise ConversationError(f"expected a text of at most {MOST_CHARACTERS:,} characters")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConversationError("expected an identifier")
    return value
