"""The prefix of a request: everything that stands before the answer."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omni.samples.messages import Media, Message, Role, Text


@dataclass(frozen=True)
class Place:
    """The place of a media item of one modality in a turn."""

    modality: str


@dataclass(frozen=True)
class Turn:
    """One turn before the answer; which media stand in its places is said apart from it."""

    role: Role
    content: tuple[Text | Place, ...]

    @property
    def text(self) -> str:
        """All text of the turn, joined without separators."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True)
class Prefix:
    """Media, then text, in one user turn; or several turns, or media between texts, as the row of the data has them.

    Attributes:
        shots: solved examples before the question, whose media no control exchanges.
        media: the media in their order.
        prompt: the text after the media; with `turns`, that of the last turn.
        turns: the turns where there is more to say than media, then text: media of their modality go into the places, a
            place without one falls away, and media without a place stand at the head of the last turn.
    """

    media: tuple[Media, ...]
    prompt: str
    turns: tuple[Turn, ...] = ()
    shots: tuple[Message, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of the content. Raises what reading the media raises (a missing file)."""
        media = [[part.modality, part.content_hash()] for part in self.media]
        turns = [[turn.role, [_as_json(part) for part in turn.content]] for turn in self.turns]
        own = [self.prompt, media, turns] if turns else [self.prompt, media]
        if not self.shots:
            return digest(own)
        return digest([own, [[shot.role, [_content(part) for part in shot.content]] for shot in self.shots]])

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that the model gets."""
        if not self.turns:
            text = (Text(self.prompt),) if self.prompt else ()
            return (*self.shots, Message("user", self.media + text))
        own = fill(self.turns, self.media)
        system = [message for message in own[:1] if message.role == "system"]  # it stands at the beginning
        return (*system, *self.shots, *own[len(system) :])


def fill(turns: Sequence[Turn], media: Sequence[Media]) -> tuple[Message, ...]:
    """Return the turns with media in their places; see `Prefix` for places and media that do not match."""
    spare = list(media)
    messages: list[Message] = []
    for turn in turns:
        content: list[Text | Media] = []
        for part in turn.content:
            if isinstance(part, Text):
                content.append(part)
                continue
            found = next((index for index, item in enumerate(spare) if item.modality == part.modality), None)
            if found is not None:
                content.append(spare.pop(found))
        messages.append(Message(turn.role, tuple(content)))
    last = messages[-1]
    messages[-1] = Message(last.role, (*spare, *last.content))
    return tuple(messages)


def _as_json(part: Text | Place) -> list[str]:
    return ["text", part.text] if isinstance(part, Text) else ["place", part.modality]


def _content(part: Text | Media) -> list[str]:
    return ["text", part.text] if isinstance(part, Text) else [part.modality, part.content_hash()]


def digest(value: Any) -> str:
    """Return the SHA-256 of the JSON form of a value, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
