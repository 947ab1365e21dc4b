"""From the messages of a request to the model's: text, and media whose content the request itself carries.

Nothing here opens a file: a part with a path, an address of the server's disk or the name of an uploaded file is
refused. Loaders get bytes or arrays, which have no files beside them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np

from demo.server import content
from demo.server.errors import APIError
from demo.server.limits import Limits
from omni.media.item import Media, as_sampling_rate, shorten
from omni.samples.sample import Message, Role, Text, resolve_modality
from omni.samples.spellings import TEXT_TYPES

Fetch = Callable[[str, str], bytes]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_MESSAGE_KEYS = {"role", "content", "name", "refusal", "type", "phase", "annotations"}
# Type of a part -> the modality, which the model's own names decide where it is `audio`, and the key of the address.
_URL_PARTS = {"image_url": "image", "input_image": "image", "video_url": "video", "input_video": "video"}
_URL_PARTS |= {"audio_url": "audio"}
# Keys that say how a service is to treat a part, and nothing of its content.
_SERVICE_KEYS = ("cache_control", "prompt_cache_breakpoint", "detail", "annotations", "uuid")
_SOURCES = ("data", "bytes", "base64", "url", "features")
_DETAILS = ("sampling_rate", "format", "dtype", "shape", "key", "row", "options")
# Options of the loaders of omni, which may stand in a part itself.
_OPTIONS = (
    *("start", "end", "num_frames", "sample_rate", "frames_per_second", "channel", "columns", "time_column"),
    *("encoding", "units_per_metre", "max_metres", "sensor", "focal_length", "baseline", "intrinsics"),
    *("scaling", "percentiles", "kelvin_per_count", "unit", "temperatures"),
    *("acceleration_unit", "rotation_unit", "time_unit"),
)
# Formats that no loader reads by the option `format`: the content shows them.
_ENCODED = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "webm", "png", "jpeg", "jpg", "webp", "gif", "mp4")


@dataclass(frozen=True)
class Accepted:
    """What a modality of the model takes: the endings of its files, and the options that loaders are told."""

    extensions: tuple[str, ...] = ()
    takes_format: bool = False  # whether its loader has the option `format` (3D)


class PartReader:
    """Reads the parts of one request, and counts its media.

    Args:
        modalities: what each modality of the model takes.
        limits: what a request may cost.
        fetch: gets the content of an address, or raises APIError.
    """

    def __init__(self, modalities: Mapping[str, Accepted], limits: Limits, fetch: Fetch) -> None:
        self._modalities = modalities
        self._limits = limits
        self._fetch = fetch
        self.num_media = 0

    def messages(self, messages: Any, key: str = "messages") -> tuple[Message, ...]:
        """Return the conversation; `key` names it in errors.

        Raises:
            APIError: a turn or part cannot be used, with its place.
        """
        if not isinstance(messages, list) or not messages:
            raise APIError(f"{key!r} must be a list of messages, got {shorten(messages)}", param=key)
        return tuple(self._message(one, f"{key}[{index}]") for index, one in enumerate(messages))

    def _message(self, message: Any, where: str) -> Message:
        if not isinstance(message, dict):
            raise APIError(f"{where} must be an object with 'role' and 'content', got {shorten(message)}", param=where)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            hint = "; this model calls no tools" if role in ("tool", "function") else ""
            allowed = ", ".join(_ROLES)
            raise APIError(f"{where}: the role is {shorten(role)}; allowed: {allowed}{hint}", param=f"{where}.role")
        given = {name: value for name, value in message.items() if value is not None}
        unknown = sorted(name for name in given if name not in _MESSAGE_KEYS and given[name] not in ([], {}))
        if unknown:
            message_text = f"{where}: the model makes nothing of {unknown[0]!r}; leave it out"
            raise APIError(message_text, param=f"{where}.{unknown[0]}")
        parts = self.parts(given.get("content"), f"{where}.content")
        return Message(cast(Role, _ROLES[role]), parts)

    def parts(self, given: Any, where: str) -> tuple[Text | Media, ...]:
        """Return a text or a list of parts as parts of a message.

        Raises:
            APIError: one of them cannot be used, with its place.
        """
        if isinstance(given, str):
            return (Text(given),)
        if not isinstance(given, list) or not given:
            raise APIError(f"{where} must be a text or a list of parts, got {shorten(given)}", param=where)
        return tuple(self.part(part, f"{where}[{index}]") for index, part in enumerate(given))

    def part(self, part: Any, where: str) -> Text | Media:
        """Return one part.

        Raises:
            APIError: it cannot be used, with its place.
        """
        if isinstance(part, str):
            return Text(part)
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise APIError(f"{where} must be an object with a 'type', got {shorten(part)}", param=where)
        kind = part["type"]
        rest = {key: part[key] for key in part if key not in (*_SERVICE_KEYS, "type") and part[key] is not None}
        if kind in TEXT_TYPES or kind == "refusal":
            return _text(rest, "refusal" if kind == "refusal" else "text", where)
        self.num_media += 1
        if self.num_media > self._limits.max_media:
            raise APIError(f"a request may have {self._limits.max_media} media", param=where, code="too_many_media")
        if kind == "input_audio":
            return self._input_audio(rest, where)
        if kind == "file":
            return self._file(rest, where)
        if kind in _URL_PARTS:
            return self._from_url_part(kind, rest, where)
        return self._media(self._modality(kind, where), rest, where)

    def from_uri(self, modality: str, text: str, where: str) -> Media:
        """Return the medium of a data URI or an allowed address (the `input` of an embedding with `modality`)."""
        return self.media_of({"type": modality, "url": text}, where)

    def media_of(self, part: dict[str, Any], where: str) -> Media:
        """Return a part that must be a medium."""
        found = self.part(part, where)
        if isinstance(found, Text):
            raise APIError(f"{where} must be a medium, not a text", param=where)
        return found

    def _from_url_part(self, kind: str, rest: dict[str, Any], where: str) -> Media:
        key = kind if kind in rest else "image_url" if kind == "input_image" else "video_url"
        value = rest.pop(key, None)
        url = value.get("url") if isinstance(value, dict) else value
        name = rest.pop("modality", _URL_PARTS[kind])
        return self._media(self._modality(name, where), {**rest, "url": url}, f"{where}.{key}")

    def _input_audio(self, rest: dict[str, Any], where: str) -> Media:
        sound = rest.pop("input_audio", None)
        if not isinstance(sound, dict):
            raise APIError(f"{where}: 'input_audio' must be an object with 'data' and 'format'", param=where)
        modality = self._modality(rest.pop("modality", "audio"), where)
        return self._media(modality, {**rest, **sound}, f"{where}.input_audio")

    def _file(self, rest: dict[str, Any], where: str) -> Media:
        file = rest.pop("file", None)
        if not isinstance(file, dict) or not isinstance(file.get("file_data"), str):
            message = f"{where}: send the content of the file as 'file_data'; files are not kept here"
            raise APIError(message, param=where)
        data, name = file["file_data"], file.get("filename")
        kind = data[5:].partition(";")[0].partition("/")[0].lower() if data.startswith("data:") else ""
        modality = rest.pop("modality", None) or self._modality_of_file(kind, name, where)
        suffix = PurePosixPath(name).suffix.lower() if isinstance(name, str) else ""
        details = {"format": suffix[1:]} if suffix and "format" not in rest else {}
        source = "url" if data.startswith("data:") else "base64"
        return self._media(self._modality(modality, where), {**rest, **details, source: data}, f"{where}.file")

    def _modality_of_file(self, kind: str, name: Any, where: str) -> str:
        """Return the modality that the type of a data URI, or else the ending of a name, stands for."""
        suffix = PurePosixPath(name).suffix.lower() if isinstance(name, str) else ""
        found = [one for one, accepted in self._modalities.items() if suffix and suffix in accepted.extensions]
        if kind in ("image", "video", "audio") and (not found or kind in found):
            return kind
        if len(found) == 1:
            return found[0]
        several = f"could be {' or '.join(found)}" if found else "is of no kind that the model takes"
        message = f"{where}: the file {several}; say which as 'modality', one of {', '.join(self._modalities)}"
        raise APIError(message, param=where)

    def _modality(self, name: Any, where: str) -> str:
        if not isinstance(name, str):
            raise APIError(f"{where}: 'modality' must be a name, got {shorten(name)}", param=where)
        try:
            return resolve_modality(name, self._modalities)
        except ValueError as error:
            raise APIError(f"{where}: {str(error)[:500]}", param=where, code="unknown_modality") from error

    def _media(self, modality: str, part: dict[str, Any], where: str) -> Media:
        part = dict(part)
        if modality in part:  # {"type": "image", "image": ...}
            part["data"] = part.pop(modality) if "data" not in part else part[modality]
        if "path" in part:
            message = f"{where}: files of the server cannot be named; send the content as 'data'"
            raise APIError(message, param=where, code="path_refused")
        unknown = sorted(set(part) - {*_SOURCES, *_DETAILS, *_OPTIONS, modality})
        if unknown:
            allowed = ", ".join((*_SOURCES, *_DETAILS))
            message = f"{where} has no key {unknown[0]!r}; allowed are {allowed}, and the options of loaders"
            raise APIError(message, param=where)
        sources = [key for key in _SOURCES if key in part]
        if len(sources) != 1:
            found = f"has both {' and '.join(sources)}" if sources else "has no content"
            raise APIError(f"{where} {found}; give exactly one of {', '.join(_SOURCES)}", param=where)
        options = self._options(part, where)
        if sources[0] == "features":
            return self._features(modality, part, options, where)
        data = self._content(part[sources[0]], part, sources[0] == "url", where)
        options |= self._format(modality, part, data, where)
        rate = part.get("sampling_rate")
        try:
            sampling_rate = None if rate is None else as_sampling_rate(rate)
        except ValueError as error:
            raise APIError(f"{where}: {error}", param=where) from error
        return Media(modality, data=data, sampling_rate=sampling_rate, options=options)

    def _options(self, part: Mapping[str, Any], where: str) -> dict[str, Any]:
        options = part.get("options", {})
        if not isinstance(options, dict):
            raise APIError(f"{where}: 'options' must be an object, got {shorten(options)}", param=where)
        return {**{key: part[key] for key in _OPTIONS if key in part}, **options}

    def _features(self, modality: str, part: dict[str, Any], options: dict[str, Any], where: str) -> Media:
        array = content.features_of(part["features"], part, self._limits.medium_bytes, f"{where}.features")
        row = part.get("row")
        if row is not None and (isinstance(row, bool) or not isinstance(row, int) or row < 0):
            raise APIError(f"{where}: 'row' must be a number from 0 on, got {shorten(row)}", param=where)
        return Media(modality, features=np.ascontiguousarray(array), row=row, options=options)

    def _content(self, value: Any, part: Mapping[str, Any], is_url: bool, where: str) -> bytes | np.ndarray:
        if isinstance(value, list):
            return content.array_of_numbers(value, where)
        most = self._limits.medium_bytes
        if isinstance(value, str) and value.startswith("data:"):
            data = content.decode_data_uri(value, most, where).content
        elif is_url or (isinstance(value, str) and "://" in value[:32]):
            if not isinstance(value, str):
                raise APIError(f"{where} must be a data URI or an address, got {shorten(value)}", param=where)
            data = self._fetch(value, where)
        else:
            data = content.decode_base64(value, most, where)
        if part.get("dtype") is not None:
            return content.array_of_bytes(data, part["dtype"], part.get("shape"), where)
        if part.get("shape") is not None:
            raise APIError(f"{where}: 'shape' belongs to 'dtype', the type of raw numbers", param=where)
        # An array means the same to every loader, and to encoders of the user's own, which may know no NPY in bytes.
        return content.array_of_npy(data, where) if content.is_npy(data) else data

    def _format(self, modality: str, part: Mapping[str, Any], data: bytes | np.ndarray, where: str) -> dict[str, Any]:
        """Return the option `format` where a loader has it; elsewhere the content itself shows what it is."""
        given = part.get("format")
        if given is None or isinstance(data, np.ndarray):
            return {}
        name = given.lower().removeprefix(".") if isinstance(given, str) else given
        accepted = self._modalities[modality]
        if accepted.takes_format:
            return {"format": name}
        if isinstance(name, str) and (f".{name}" in accepted.extensions or name in _ENCODED):
            return {}
        allowed = " ".join(accepted.extensions) or "no files"
        message = f"{where}: the format is {shorten(given)}; {modality} takes {allowed}, or raw numbers with 'dtype'"
        raise APIError(message, param=where)


def _text(rest: dict[str, Any], key: str, where: str) -> Text:
    unknown = sorted(set(rest) - {key, "logprobs"})
    if unknown or not isinstance(rest.get(key), str):
        raise APIError(f"{where} must hold only {key!r}, a text; got {shorten(rest)}", param=where)
    return Text(rest[key])
