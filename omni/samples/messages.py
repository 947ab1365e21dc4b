"""Samples in the *messages* form of Hugging Face chat templates, which every reader gives and the model takes.

A part of a message is text or one media item. Parsing is strict where a mistake would train on the wrong thing (unknown
keys, two sources for one item) and liberal in the spellings of one and the same thing that are in use (`{"type":
"image", "image": ...}`). Nothing is opened here: a missing or broken file shows when a loader of `omni.media` reads it.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omni.media.item import Media, shorten
from omni.samples.checks import check_answer, check_unicode
from omni.samples.media_keys import media_in_keys, named_media
from omni.samples.places import held_items, media_in_front, mismatch, place_media
from omni.samples.preference_rows import is_preference_row, split_prompt
from omni.samples.sample import ROLES, Message, Role, Sample, SampleError, Text, TooLongError, resolve_modality
from omni.samples.spellings import TURN_KEYS, is_list, plain_turns, turns_of
from omni.samples.turns import TurnParser

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

_MOST_CHARACTERS = 4_000_000  # of a conversation: about a million tokens, the longest context of an LLM


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
    parser = TurnParser(sample_id, None if base is None else Path(base), modalities, True)
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
    parser = TurnParser(sample_id, None if base is None else Path(base), modalities, allow_paths)
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
