"""Samples in the *messages* form of Hugging Face chat templates, which every reader gives and the model takes.

A part of a message is text or one media item. Parsing is strict where a mistake would train on the wrong thing (unknown
keys, two sources for one item) and liberal in the spellings of one and the same thing that are in use (`{"type":
"image", "image": ...}`). Nothing is opened here: a missing or broken file shows when a loader of `omni.media` reads it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from omni.media.item import (
    Media,
    as_array,
    as_sampling_rate,
    decode_bytes,
    local_path,
    media_from_value,
    shorten,
)
from omni.samples.media_keys import MEDIA_KEYS, media_in_keys, named_media
from omni.samples.places import (
    filled_parts,
    held_items,
    media_at_head,
    media_in_front,
    mismatch,
    place_in_turn,
    place_media,
)
from omni.samples.preference_rows import is_preference_row, split_prompt
from omni.samples.sample import ROLES, Message, Role, Sample, SampleError, Text, TooLongError, resolve_modality
from omni.samples.spellings import SERVICE_KEYS, TEXT_TYPES, TURN_KEYS, is_list, plain_part, plain_turns, turns_of

__all__ = [
    "ROLES",
    "Media",
    "Message",
    "Role",
    "Sample",
    "SampleError",
    "Text",
    "TooLongError",
    "check_answer",
    "check_unicode",
    "parse_messages",
    "parse_sample",
    "resolve_modality",
]

_SOURCE_KEYS = ("path", "bytes", "data", "features", "url", "base64")
_MOST_CHARACTERS = 4_000_000  # of a conversation: about a million tokens, the longest context of an LLM
_DETAIL_KEYS = ("sampling_rate", "row", "options")


def parse_sample(
    row: Mapping[str, Any],
    base: Path | str | None = None,
    modalities: Collection[str] | None = None,
    *,
    default_id: str | None = None,
    media_keys: Mapping[str, str] | None = None,
    media: Mapping[str, Sequence[Media]] | None = None,
    in_front: bool = False,
) -> Sample:
    """Make a `Sample` of one row `{"id": ..., "messages": [...], ...}`.

    A row of preference data may have `prompt` in place of `messages`, or only `chosen` and `rejected` conversations.
    `conversations` of `from` and `value`, as LLaVA and ShareGPT write them, are read too. Media in keys beside the
    messages (`images`, `videos`, ...) take the places of marks (`<image>`) or of parts without content; those in keys
    of a turn, as Ollama has them, take the places of that turn, and stand at its head where it has none.

    Args:
        row: the row; keys other than `id`, the messages, `meta` and those of media join the sample's `meta`.
        base: folder that relative paths start from (the manifest's); None leaves them as they are.
        modalities: the modalities that are allowed; None allows any.
        default_id: the id of a row that has none.
        media_keys: key -> modality of the keys that hold media; default: by name, see `omni.samples.media_keys`.
        media: media by modality that stand beside the messages in another way than in a key.
        in_front: media without any place in the text go in front of the first user turn; default: they are an error,
            except in preference data.

    Raises:
        SampleError: the row cannot be used, with the reason and the way out.
    """
    try:
        return _parse_row(row, base, modalities, default_id, media_keys, media, in_front)
    except SampleError:
        raise
    except Exception as error:  # RecursionError of a value in a value in ..., OverflowError of an absurd number, ...
        raise _unexpected(default_id or "(no id)", error) from error


def _unexpected(sample_id: str, error: Exception) -> SampleError:
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return SampleError(sample_id, f"the row cannot be read ({reason[:500]}); correct or remove it")


def _parse_row(
    row: Mapping[str, Any],
    base: Path | str | None,
    modalities: Collection[str] | None,
    default_id: str | None,
    media_keys: Mapping[str, str] | None,
    media: Mapping[str, Sequence[Media]] | None,
    in_front: bool,
) -> Sample:
    if not isinstance(row, Mapping):
        raise SampleError(default_id or "(no id)", f"expected an object with 'messages', got {shorten(row)}")
    sample_id = default_id if row.get("id") is None else row["id"]
    if sample_id is None or sample_id == "" or not isinstance(sample_id, str | int) or isinstance(sample_id, bool):
        raise SampleError(default_id or "(no id)", f"'id' must be a string or a number, got {shorten(row.get('id'))}")
    sample_id = str(sample_id)
    turns = turns_of(row)
    if turns is None and is_preference_row(row):
        try:
            row = split_prompt(row)
        except ValueError as error:
            raise SampleError(sample_id, str(error)) from error
        turns, in_front = row["messages"], True
    if turns is None:
        found = ", ".join(map(str, row)) or "no keys at all"
        raise SampleError(sample_id, f"the key 'messages' is missing; found {found}")
    keys = named_media(row) if media_keys is None else {key: media_keys[key] for key in media_keys if key in row}
    columns = media_in_keys(row, keys, None if base is None else Path(base), modalities, sample_id)
    for modality, items in (media or {}).items():
        columns.setdefault(modality, []).extend(items)
    messages = _with_columns(turns, columns, base, modalities, sample_id, in_front, media_keys or {})
    meta = row.get("meta")
    if meta is not None and not isinstance(meta, Mapping):
        raise SampleError(sample_id, f"'meta' must be an object, got {shorten(meta)}")
    used = {"id", "meta", *keys, *(key for key in TURN_KEYS if row.get(key) is turns or key == "messages")}
    return Sample(sample_id, messages, {**(meta or {}), **{key: row[key] for key in row if key not in used}})


def _with_columns(
    turns: Any,
    columns: Mapping[str, Sequence[Media]],
    base: Path | str | None,
    modalities: Collection[str] | None,
    sample_id: str,
    in_front: bool,
    media_keys: Mapping[str, str],
) -> tuple[Message, ...]:
    """Parse turns with the media of their own keys and of the row's in their places; media that are in the messages
    already may be named once more."""
    if not is_list(turns):
        return parse_messages(turns, base, modalities, sample_id=sample_id)  # raises
    try:
        turns = plain_turns(turns)
    except ValueError as error:
        raise SampleError(sample_id, str(error)) from error
    parser = _Parser(sample_id, None if base is None else Path(base), modalities, True)
    turns = [parser.with_own_media(turn, index, columns, media_keys) for index, turn in enumerate(turns)]
    turns, unplaced = place_media(turns, columns, sample_id, in_answers=not in_front)
    if in_front:
        turns, unplaced = media_in_front(turns, [item for items in unplaced.values() for item in items]), {}
    messages = parse_messages(turns, base, modalities, sample_id=sample_id)
    held = [item for message in messages for item in message.media]
    for modality, items in unplaced.items():
        named = held_items(items, held)
        if len(named) < len(items):
            raise SampleError(sample_id, mismatch(modality, [item.describe() for item in named], items))
    return messages


def parse_messages(
    messages: Sequence[Mapping[str, Any]] | Sequence[Message],
    base: Path | str | None = None,
    modalities: Collection[str] | None = None,
    *,
    sample_id: str = "(conversation)",
    allow_paths: bool = True,
) -> tuple[Message, ...]:
    """Make `Message`s of a conversation; content is a string or a list of parts, and `Message`s pass through.

    A part is `{"type": "text", "text": ...}` or `{"type": MODALITY, SOURCE: ...}`, where SOURCE is `path`, `bytes`
    (bytes or base64 text), `data` (picture, array, `(array, sampling_rate)`) or `features`; the modality itself is also
    taken as key, as are the part types of Hugging Face and OpenAI chats (`image_url`, `input_audio`). Media in keys of
    a turn (Ollama's `images`) take the places of its marks (`<image>`) or stand at its head. Set
    `allow_paths=False` for input from strangers (on a server), to refuse local files.

    Raises:
        SampleError: with `sample_id`, what is wrong, and what to do.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence | np.ndarray):
        raise SampleError(sample_id, f"'messages' must be a list of turns, got {shorten(messages)}")
    parser = _Parser(sample_id, None if base is None else Path(base), modalities, allow_paths)
    try:
        parsed = tuple(
            parser.message(parser.with_own_media(message, index), index) for index, message in enumerate(messages)
        )
    except SampleError:
        raise
    except Exception as error:  # see parse_sample
        raise _unexpected(sample_id, error) from error
    length = sum(len(message.text) for message in parsed)
    if length > _MOST_CHARACTERS:
        reason = (
            f"its text has {length:,} characters, over the limit of {_MOST_CHARACTERS:,}; cut it, or remove the row"
        )
        raise SampleError(sample_id, reason)
    if not any(message.role == "user" for message in parsed):
        raise SampleError(
            sample_id, "there is no user turn; a conversation needs at least one message with role 'user'"
        )
    if any(message.role == "system" for message in parsed[1:]):
        raise SampleError(sample_id, "a system message stands after another turn; move it to the beginning")
    return check_unicode(Sample(sample_id, parsed)).messages


def check_unicode(sample: Sample) -> Sample:
    """Return the sample; raise SampleError if a text holds half a character, as JSON cut within an escape does.

    No tokenizer takes such a text, nor can it be written to a file.
    """
    names = [sample.id, *(item.path for item in sample.media)]
    texts = [*(message.text for message in sample.messages), sample.meta]
    # file names may hold bytes that are not text, which Python writes as lone surrogates
    for value, errors in [(name, "surrogateescape") for name in _texts(names)] + [(t, "strict") for t in _texts(texts)]:
        try:
            value.encode(errors=errors)
        except UnicodeEncodeError as error:
            half = ascii(value[error.start])
            shown = shorten(value.encode(errors="replace").decode())
            raise SampleError(
                ascii(sample.id)[1:-1], f"the text {shown} holds half a character ({half}); correct or remove it"
            ) from None
    return sample


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def check_answer(sample: Sample) -> None:
    """Check that a sample can be trained on: every assistant turn has text, and the last turn is the assistant's.

    Raises:
        SampleError: there is no answer or an empty one.
    """
    answers = [message for message in sample.messages if message.role == "assistant"]
    if not answers:
        raise SampleError(sample.id, "there is no assistant turn, so nothing to learn; add the answer as one")
    if not all(answer.text.strip() for answer in answers):
        raise SampleError(sample.id, "the answer is empty: an assistant turn has no text; fill it in or remove the row")
    if sample.messages[-1].role != "assistant":
        raise SampleError(sample.id, "the last turn is not the assistant's; add its answer or remove the turn")


@dataclass(frozen=True)
class _Parser:
    """Parse the turns of one sample; every error leaves as a SampleError that says where in the sample it is."""

    sample_id: str
    base: Path | None
    modalities: Collection[str] | None
    allow_paths: bool

    def with_own_media(
        self, turn: Any, index: int, elsewhere: Mapping[str, Sequence[Media]] = {}, names: Mapping[str, str] = {}
    ) -> Any:
        """Return a turn with the media of its own keys in its content, and without these keys.

        `elsewhere` holds the media of the row, and `names` the modalities of further keys.
        """
        if not isinstance(turn, Mapping):
            return turn
        found = named_media(turn, {**MEDIA_KEYS, **names})
        keys = {key: modality for key, modality in found.items() if key not in ("role", "content")}
        if not keys:
            return turn
        where = f"message {index + 1}"
        media = media_in_keys(turn, keys, self.base, self.modalities, self.sample_id, f" of {where}")
        media = {modality: items for modality, items in media.items() if items}
        turn = {key: value for key, value in turn.items() if key not in keys}
        if not media:
            return turn
        given = [self._part(part, where) for part in filled_parts(turn)]
        turn, unplaced = place_in_turn(turn, media, self.sample_id, index, elsewhere)
        at_head: list[Media] = []
        for modality, items in unplaced.items():
            present = [part for part in given if isinstance(part, Media) and part.modality == modality]
            named = held_items(items, present)
            if present and len(named) < len(items):
                reason = mismatch(modality, [item.describe() for item in named], items)
                raise SampleError(self.sample_id, f"{where}: {reason}")
            at_head += [] if present else items
        return media_at_head(turn, at_head) if at_head else turn

    def message(self, message: Mapping[str, Any] | Message, index: int) -> Message:
        where = f"message {index + 1}"
        if isinstance(message, Message):
            return Message(message.role, tuple(self._checked(part, where) for part in message.content))
        if not isinstance(message, Mapping):
            raise SampleError(
                self.sample_id, f"{where} must be an object with 'role' and 'content', got {shorten(message)}"
            )
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise SampleError(self.sample_id, f"{where} has the unknown role {role!r}; allowed are {', '.join(ROLES)}")
        if isinstance(content, str):
            return Message(cast(Role, role), (Text(content),))
        if not isinstance(content, list | tuple | np.ndarray):
            raise SampleError(
                self.sample_id, f"'content' of {where} must be a string or a list of parts, got {shorten(content)}"
            )
        if len(content) == 0 and role != "assistant":
            raise SampleError(self.sample_id, f"'content' of {where} ({role}) is empty; give it text or media")
        return Message(
            cast(Role, role), tuple(self._part(part, f"{where}, part {i + 1}") for i, part in enumerate(content))
        )

    def _part(self, part: Any, where: str) -> Text | Media:
        if isinstance(part, str):
            return Text(part)
        if isinstance(part, Text | Media):
            return self._allowed(self._checked(part, where), where)
        if not isinstance(part, Mapping):
            raise SampleError(self.sample_id, f"{where} must be an object with a 'type', got {shorten(part)}")
        # Tables (parquet, arrow) give every part all keys of all parts, None where they do not apply.
        part = {str(key): value for key, value in part.items() if value is not None}
        kind = part.pop("type", None)
        if not isinstance(kind, str) or not kind:
            raise SampleError(self.sample_id, f"{where} has no 'type'; write 'text' or a modality such as 'image'")
        if kind in TEXT_TYPES:
            part = {key: value for key, value in part.items() if key not in SERVICE_KEYS}
            if not isinstance(part.get("text"), str) or len(part) > 1:
                raise SampleError(self.sample_id, f"{where} must hold only 'text', a string; got {shorten(part)}")
            return Text(part["text"])
        try:
            media = self._media(kind, part)
        except (ValueError, TypeError) as error:
            raise SampleError(self.sample_id, f"{where}: {error}") from error
        return self._allowed(media, where)

    def _allowed(self, part: Text | Media, where: str) -> Text | Media:
        """Return a part unless it names a local file where these are refused."""
        is_file = isinstance(part, Media) and (part.path is not None or isinstance(part.features, str))
        if is_file and not self.allow_paths:
            raise SampleError(self.sample_id, f"{where}: local files are not allowed here; send the content itself")
        return part

    def _media(self, kind: str, part: dict[str, Any]) -> Media:
        name, part = plain_part(kind, part)
        modality = resolve_modality(name, self.modalities)
        # The modality's own name is a key too: {"type": "image", "image": ...}; "audio" may have become "sound" above.
        own_keys = {kind, name, modality} - set(_SOURCE_KEYS)
        unknown = set(part) - own_keys - set(_SOURCE_KEYS) - set(_DETAIL_KEYS)
        if unknown:
            allowed = ", ".join(["type", *_SOURCE_KEYS, *sorted(own_keys), *_DETAIL_KEYS])
            raise ValueError(f"unknown key {_names(unknown)} in a part of type {kind!r}; allowed are {allowed}")
        sources = [key for key in part if key in own_keys or key in _SOURCE_KEYS]
        if len(sources) != 1:
            found = f"has both {' and '.join(map(repr, sources))}" if sources else "has no content"
            raise ValueError(f"a part of type {kind!r} {found}; give exactly one of path, bytes, data and features")
        media = _media_from_source(modality, sources[0], part[sources[0]], self.base, part.get("sampling_rate"))
        return _with_details(media, part)

    def _checked(self, part: Text | Media, where: str) -> Text | Media:
        """Return a part that is parsed already, if its modality is allowed."""
        if isinstance(part, Text):
            return part
        try:
            modality = resolve_modality(part.modality, self.modalities)
        except ValueError as error:
            raise SampleError(self.sample_id, f"{where}: {error}") from error
        return part if modality == part.modality else replace(part, modality=modality)


def _media_from_source(modality: str, key: str, value: Any, base: Path | None, rate: Any) -> Media:
    sampling_rate = None if rate is None else as_sampling_rate(rate)
    if key == "features":
        return Media(modality, features=local_path(value, base) if isinstance(value, str) else as_array(value))
    if key in ("bytes", "base64"):
        return Media(modality, data=decode_bytes(value, key), sampling_rate=sampling_rate)
    if key in ("path", "url") and not _is_paths(value):
        raise ValueError(f"{key!r} must be a file name or a list of them, got {shorten(value)}")
    return media_from_value(modality, value, base, sampling_rate)


def _with_details(media: Media, part: Mapping[str, Any]) -> Media:
    row, options = part.get("row"), part.get("options", {})
    if row is not None and media.features is None:
        raise ValueError("'row' belongs to 'features' only")
    if row is not None and (isinstance(row, bool) or not isinstance(row, int | np.integer) or row < 0):
        raise ValueError(f"'row' must be a number from 0 on, got {row!r}")
    if not isinstance(options, Mapping):
        raise ValueError(f"'options' must be an object, got {shorten(options)}")
    rate = media.sampling_rate if part.get("sampling_rate") is None else as_sampling_rate(part["sampling_rate"])
    row = None if row is None else int(row)
    return Media(media.modality, media.path, media.data, rate, media.features, row, dict(options))


def _is_paths(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, str | Path) for item in value)
    return isinstance(value, str | Path)


def _names(keys: Collection[str]) -> str:
    return ", ".join(sorted(map(repr, keys)))
