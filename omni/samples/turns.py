"""One turn of a conversation: its role, and its parts from the spellings that are in use."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from omni.media.item import Media, as_array, as_sampling_rate, decode_bytes, local_path, media_from_value, shorten
from omni.samples.media_keys import MEDIA_KEYS, media_in_keys, named_media
from omni.samples.places import filled_parts, held_items, media_at_head, mismatch, place_in_turn
from omni.samples.sample import ROLES, Message, Role, SampleError, Text, resolve_modality
from omni.samples.spellings import SERVICE_KEYS, TEXT_TYPES, plain_part

_SOURCE_KEYS = ("path", "bytes", "data", "features", "url", "base64")
_DETAIL_KEYS = ("sampling_rate", "row", "options")


@dataclass(frozen=True)
class TurnParser:
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
        """Return the turn at an index, from the form in which a row has it."""
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
