"""The spellings of other tools: parts of OpenAI, Anthropic and Qwen-VL, turns of ShareGPT and the Cauldron."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from omni.media.item import shorten

TEXT_TYPES = ("text", "input_text", "output_text")
# Keys that say how a service is to treat a part, and nothing of its content.
SERVICE_KEYS = ("cache_control", "detail", "annotations", "logprobs")
TURN_KEYS = ("messages", "conversations", "conversation")
SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}

_URL_TYPES = {
    "image_url": "image",
    "audio_url": "audio",
    "video_url": "video",
    "input_image": "image",
    "input_video": "video",
}
# qwen-vl-utils: the size to which its own processor scales a picture. Encoders here have sizes of their own.
_SIZE_HINTS = ("resized_height", "resized_width", "min_pixels", "max_pixels", "total_pixels")
_RATE_HINTS = ("min_frames", "raw_fps")
# qwen-vl-utils' keys of a video -> options of `omni.media.frames`, and whether they are whole numbers. The earlier key
# wins: `max_frames` bounds what `fps` asks for, as `num_frames` bounds `sample_rate`.
_VIDEO_KEYS = {
    "nframes": ("num_frames", True),
    "max_frames": ("num_frames", True),
    "fps": ("sample_rate", False),
    "sample_fps": ("frames_per_second", False),
    "video_start": ("start", False),
    "video_end": ("end", False),
}


def plain_part(kind: str, part: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the modality and the keys, without `type`, that a part of type `kind` has in the project's own spelling.

    Raises:
        ValueError: the part is malformed, or its content is kept by another service.
    """
    part = dict(part)
    for key in SERVICE_KEYS:
        part.pop(key, None)
    if kind == "input_audio":
        return "audio", _sound_of_openai(part)
    modality = _URL_TYPES.get(kind, kind)
    url_key = next((key for key in (kind, "image_url") if key in part), kind) if kind in _URL_TYPES else f"{kind}_url"
    if kind in _URL_TYPES or url_key in part:  # Qwen2-Audio: {"type": "audio", "audio_url": ...}
        url = part.pop(url_key, None)
        part["url"] = url.get("url") if isinstance(url, Mapping) else url
    if isinstance(part.get("source"), Mapping):
        part |= _source_of_anthropic(part.pop("source"))
    if modality in ("image", "video"):
        for key in _SIZE_HINTS:
            part.pop(key, None)
    return modality, _with_video_options(part) if modality == "video" else part


def plain_turns(turns: Sequence[Any]) -> list[Any]:
    """Return turns with `role` and `content`, made of LLaVA's and ShareGPT's `from` and `value`, or of pairs of `user`
    and `assistant`; other turns are left as they are. Further keys, such as media, stay; those of a pair with `user`.

    Raises:
        ValueError: a speaker is not known, or a text is missing.
    """
    return [plain for turn in turns for plain in _plain_turn(turn)]


def turns_of(row: Mapping[str, Any]) -> Any:
    """Return the turns of a row under whichever of the `TURN_KEYS` it has; None without one."""
    return next((row[key] for key in TURN_KEYS if row.get(key) is not None), None)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list as JSON, Python or a table gives it."""
    return isinstance(value, list | tuple | np.ndarray)


def _plain_turn(turn: Any) -> list[Any]:
    if not isinstance(turn, Mapping) or turn.get("role") is not None:
        return [turn]
    if "from" in turn:
        speaker, text = turn["from"], turn.get("value")
        if not isinstance(text, str):
            raise ValueError(f"a turn must be an object with 'from' and the text 'value', got {shorten(turn)}")
        role = SPEAKERS.get(speaker) if isinstance(speaker, str) else None
        if role is None:
            raise ValueError(f"unknown speaker {shorten(speaker)}; allowed are {', '.join(SPEAKERS)}")
        others = {key: value for key, value in turn.items() if key not in ("from", "value")}
        return [{**others, "role": role, "content": text}]
    if "user" in turn and "assistant" in turn:
        others = {key: value for key, value in turn.items() if key not in ("user", "assistant")}
        question = {**others, "role": "user", "content": turn["user"]}
        return [question, {"role": "assistant", "content": turn["assistant"]}]
    return [turn]


def _sound_of_openai(part: dict[str, Any]) -> dict[str, Any]:
    sound = part.pop("input_audio", None)
    if not isinstance(sound, Mapping):
        raise ValueError(f"'input_audio' must be an object, got {shorten(sound)}")
    data = sound.get("data", sound.get("url"))
    # DashScope's variant has an address in the place of the content
    is_address = isinstance(data, str) and (data.startswith("data:") or "://" in data)
    return part | {"url" if is_address else "base64": data}


def _source_of_anthropic(source: Mapping[str, Any]) -> dict[str, Any]:
    kind = source.get("type")
    if kind == "base64":
        return {"base64": source.get("data")}
    if kind == "url":
        return {"url": source.get("url")}
    raise ValueError(f"a 'source' of type {kind!r} has no content here; send it as 'base64'")


def _with_video_options(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part with the keys of qwen-vl-utils as options of the loader."""
    is_frames = any(isinstance(value, list | tuple) for value in part.values())
    found: dict[str, Any] = {}
    for key, (option, is_whole) in _VIDEO_KEYS.items():
        if key in part:
            # the rate of a list of pictures is not that of a choice among them
            name = "frames_per_second" if key == "fps" and is_frames else option
            found.setdefault(name, _number(key, part[key], is_whole))
    rest = {key: value for key, value in part.items() if key not in (*_VIDEO_KEYS, *_RATE_HINTS)}
    options = rest.get("options", {})
    return rest | {"options": found | dict(options)} if found and isinstance(options, Mapping) else rest


def _number(key: str, value: Any, is_whole: bool) -> int | float:
    """Return a number, which qwen-vl-utils takes as text too."""
    try:
        number = float(value)
        if not is_whole or number.is_integer():
            return int(number) if is_whole else number
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{key!r} must be a {'whole ' if is_whole else ''}number, got {shorten(value)}")
