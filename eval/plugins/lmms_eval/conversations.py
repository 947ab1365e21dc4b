"""From what lmms-eval's tasks show, messages or a text with a list of media, to conversations of omni."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import av
from PIL import Image

from eval.plugins.media import plain_media
from omni.media.image import IMAGE_EXTENSIONS
from omni.media.item import Media, shorten
from omni.media.sound import SOUND_EXTENSIONS
from omni.samples.media_keys import MARKS
from omni.samples.messages import Sample, SampleError, parse_messages, parse_sample, resolve_modality

_TIMES = {"start_time": "start", "end_time": "end"}  # of a video part, in seconds


def chat_conversation(messages: Any, modalities: Collection[str], sample_id: str) -> Sample:
    """Return the conversation that a task's `doc_to_messages` gives.

    Args:
        messages: turns with `role` and `content`: texts, and parts `image`, `video` and `audio` with the medium in
            `url` (a path, a picture, a list of frames, or `{"array", "sampling_rate"}`).
        modalities: those of the model.
        sample_id: names the item in errors.

    Raises:
        SampleError: something that cannot be shown to the model as it is.
    """
    if not isinstance(messages, list | tuple) or not all(isinstance(turn, Mapping) for turn in messages):
        raise SampleError(sample_id, f"doc_to_messages must give a list of turns, got {shorten(messages)}")
    turns = [_with_parts(turn, modalities, sample_id) for turn in messages]
    return Sample(sample_id, parse_messages(turns, modalities=modalities, sample_id=sample_id))


def simple_conversation(context: str, visuals: Any, modalities: Collection[str], sample_id: str) -> Sample:
    """Return the conversation of a text and the media that a task's `doc_to_visual` gives, as one turn of the user.

    Marks such as `<image>` in the text are the places of the media; without any, the media stand in front, in order.

    Raises:
        SampleError: as `chat_conversation`, and marks that are more or fewer than the media.
    """
    visuals = [] if visuals is None else visuals
    if not isinstance(visuals, list | tuple):
        raise SampleError(sample_id, f"doc_to_visual must give a list of media, got {shorten(visuals)}")
    parts = [media_part(visual, None, modalities, sample_id) for visual in visuals]
    if not parts or not any(mark in context for mark in MARKS):
        content = [*parts, *([{"type": "text", "text": context}] if context else [])]
        turns = [{"role": "user", "content": content}]
        return Sample(sample_id, parse_messages(turns, modalities=modalities, sample_id=sample_id))
    (turn,) = parse_messages([{"role": "user", "content": parts}], modalities=modalities, sample_id=sample_id)
    media: dict[str, list[Media]] = {}
    for item in turn.media:
        media.setdefault(item.modality, []).append(item)
    row = {"id": sample_id, "messages": [{"role": "user", "content": context}]}
    return parse_sample(row, modalities=modalities, media=media, in_front=True)


def media_part(
    value: Any, stated: str | None, modalities: Collection[str], sample_id: str, **options: float
) -> dict[str, Any]:
    """Return one medium as a part of a message.

    lmms-eval calls any dictionary a video, also a sound's, and any WebM file a sound, also a video's; here what they
    hold decides.

    Args:
        value: the medium.
        stated: `image`, `video` or `audio`, where the task says so.
        modalities: those of the model.
        sample_id: names the item in errors.
        options: of the loader of a video, such as `start`.

    Raises:
        SampleError: no medium, or one of a modality that the model does not have.
    """
    value = plain_media(value)
    kind = stated if value is None else _kind(value, stated)
    if value is None or kind is None:
        raise SampleError(
            sample_id, f"cannot tell what kind of medium {shorten(value)} is; the task must give {_FORMS}"
        )
    try:
        resolve_modality(kind, modalities)
    except ValueError as error:
        raise SampleError(
            sample_id,
            f"the task shows {'an' if kind[0] in 'aeiou' else 'a'} {kind}, and the model has no adapter for it "
            f"({error}); combine it with one that has, or use another task",
        ) from error
    if isinstance(value, Mapping) and value.keys() & {"video_start", "video_end"}:
        return {**value, "type": "video"}
    return {"type": kind, kind: value} | ({"options": options} if options else {})


_FORMS = "a picture, a path, a list of frames or {'array', 'sampling_rate'}"


def _with_parts(turn: Mapping[str, Any], modalities: Collection[str], sample_id: str) -> dict[str, Any]:
    content = turn.get("content")
    if not isinstance(content, list | tuple):
        return dict(turn)
    return {**turn, "content": [_part(part, modalities, sample_id) for part in content]}


def _part(part: Any, modalities: Collection[str], sample_id: str) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in ("image", "video", "audio"):
        return part
    if unknown := sorted(part.keys() - {"type", "url", *_TIMES}):
        raise SampleError(
            sample_id, f"a part of type {part['type']!r} has {', '.join(unknown)}; it may have url, {', '.join(_TIMES)}"
        )
    times = {option: part[key] for key, option in _TIMES.items() if part.get(key) is not None}
    return media_part(part.get("url"), part["type"], modalities, sample_id, **times)


def _kind(value: Any, stated: str | None) -> str | None:
    """The part type of a medium, by what it holds, else by what the task says."""
    if isinstance(value, Mapping):
        if value.get("sampling_rate") is not None:
            return "audio"
        if value.keys() & {"video_start", "video_end"}:
            return "video"
        if stated is None and isinstance(value.get("type"), str):
            return value["type"]
        return stated or _kind(value.get("path") or value.get("url"), None)
    if isinstance(value, Image.Image):
        return "image"
    if isinstance(value, str):
        return _kind_of_file(value, stated)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return stated or "video"  # frames
    return stated


def _kind_of_file(path: str, stated: str | None) -> str:
    ending = os.path.splitext(path)[1].lower()
    if ending == ".webm" and stated in (None, "audio") and os.path.isfile(path):
        with av.open(path) as file:
            return "video" if file.streams.video else "audio"
    if ending in SOUND_EXTENSIONS and stated in (None, "video"):
        return "audio"
    return stated or ("image" if ending in IMAGE_EXTENSIONS else "video")
