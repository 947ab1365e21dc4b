"""A sample: a conversation with its media, and the errors of samples that cannot be used."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from omni.media.item import Media

Role = Literal["system", "user", "assistant"]
ROLES: tuple[str, ...] = get_args(Role)


class SampleError(ValueError):
    """One sample cannot be used; `sample_id` names it and `reason` says why and what to do. Picklable."""

    def __init__(self, sample_id: str, reason: str) -> None:
        super().__init__(sample_id, reason)
        self.sample_id = sample_id
        self.reason = reason

    def __str__(self) -> str:
        return f"sample {self.sample_id!r}: {self.reason}"

    def bare(self) -> Self:
        """Return a copy without traceback and cause, which would keep the sample's media in memory."""
        return type(self)(*self.args)


class TooLongError(SampleError):
    """A sample has `num_tokens` tokens, media included, where `limit` are allowed."""

    def __init__(self, sample_id: str, reason: str, num_tokens: int, limit: int) -> None:
        super().__init__(sample_id, reason)
        self.args = (sample_id, reason, num_tokens, limit)  # what pickling and `bare` make a copy of
        self.num_tokens = num_tokens
        self.limit = limit


@dataclass(frozen=True)
class Text:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: tuple[Text | Media, ...]

    @property
    def text(self) -> str:
        """Return all text of the turn, joined without separators."""
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def media(self) -> tuple[Media, ...]:
        """Return the media of the turn in order."""
        return tuple(part for part in self.content if isinstance(part, Media))


@dataclass(frozen=True)
class Sample:
    """One row of a data set: a conversation with its id; `meta` holds the row's other keys (caption, category, ...)."""

    id: str
    messages: tuple[Message, ...]
    meta: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def media(self) -> tuple[Media, ...]:
        """Return the media of all turns in order."""
        return tuple(media for message in self.messages for media in message.media)

    @property
    def last_answer(self) -> str | None:
        """The text of the last assistant turn; None where the assistant has no turn."""
        return next((message.text for message in reversed(self.messages) if message.role == "assistant"), None)


def resolve_modality(name: str, modalities: Collection[str] | None) -> str:
    """Return the modality that a part type means.

    It is the type itself, or for `audio` (Hugging Face's word) whichever of sound and speech is allowed.

    Raises:
        ValueError: `name` is not among `modalities`, or `audio` could mean either of two.
    """
    if modalities is None or name in modalities:
        return name
    if name == "audio":
        matches = [modality for modality in ("sound", "speech") if modality in modalities]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ValueError("'audio' could mean 'sound' or 'speech' here; write which one as the part's type")
    allowed = ", ".join(sorted(map(repr, {"text", *modalities})))
    raise ValueError(f"unknown modality or part type {name!r}; allowed are {allowed}")
