"""LLaVA's JSON: `conversations` of human and gpt, with `<image>` marks in the text, and files in keys of their own."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from omni.media.item import media_from_value, shorten
from omni.readers.dataset import InMemoryDataset, SampleDataset
from omni.readers.jsonl import JsonlDataset, existing_file, load_json_list
from omni.readers.placeholders import MARKS, MediaQueue, split_at_marks
from omni.samples.messages import Media, Message, Role, Sample, SampleError, resolve_modality

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
# Row key -> modality: image, images, audio, sounds, ...
_MEDIA_KEYS = {mark[1:-1] + plural: modality for mark, modality in MARKS.items() for plural in ("", "s")}


def read_llava(
    path: str | Path, image_folder: str | Path | None = None, modalities: Collection[str] | None = None
) -> SampleDataset:
    """Read LLaVA's JSON (one list) or JSON lines: `{"id", "image": file or files, "conversations": [{"from",
    "value"}]}`.

    The marks `<image>`, `<video>`, `<audio>` (= `<sound>`), ... take the files of the row's key of that name in order;
    a row with more marks than files, or fewer, is a `SampleError`.

    Args:
        path: the `.json` or `.jsonl` file.
        image_folder: the folder from which relative paths of media start; default: the folder of `path`.
        modalities: the modalities that are allowed; None allows any.

    Raises:
        FileNotFoundError, ValueError: there is no such file or folder, or it is no JSON list.
    """
    path = existing_file(path)
    folder = path.parent if image_folder is None else Path(image_folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"the image folder {folder} does not exist")
    parse = partial(parse_llava, base=folder, modalities=modalities)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return JsonlDataset(path, parse)
    return InMemoryDataset(load_json_list(path), parse, path.name)


def parse_llava(
    row: Mapping[str, Any], default_id: str, base: Path, modalities: Collection[str] | None = None
) -> Sample:
    """Make a sample of one LLaVA row. Raises SampleError."""
    if not isinstance(row, Mapping):
        raise SampleError(default_id, f"expected an object with 'conversations', got {shorten(row)}")
    sample_id = str(row.get("id", default_id))
    turns = row.get("conversations")
    if not isinstance(turns, list):
        raise SampleError(sample_id, f"'conversations' must be a list of turns, got {shorten(turns)}")
    queue = MediaQueue(sample_id, _media_of(row, sample_id, base, modalities))
    messages = tuple(_message(turn, sample_id, queue) for turn in turns)
    queue.check()
    if not any(message.role == "user" for message in messages):
        raise SampleError(sample_id, "there is no turn from 'human'")
    used = {"id", "conversations", *_MEDIA_KEYS}
    return Sample(sample_id, messages, {key: value for key, value in row.items() if key not in used})


def _media_of(
    row: Mapping[str, Any], sample_id: str, base: Path, modalities: Collection[str] | None
) -> dict[str, list[Media]]:
    media: dict[str, list[Media]] = {}
    for key in _MEDIA_KEYS.keys() & row.keys():
        values = row[key] if isinstance(row[key], list) else [row[key]]
        try:
            modality = resolve_modality(_MEDIA_KEYS[key], modalities)
            items = [media_from_value(modality, value, base) for value in values if value not in (None, "")]
        except ValueError as error:
            raise SampleError(sample_id, f"{key!r}: {error}") from error
        media.setdefault(modality, []).extend(items)
    return media


def _message(turn: Any, sample_id: str, queue: MediaQueue) -> Message:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str):
        raise SampleError(sample_id, f"a turn must be an object with 'from' and the text 'value', got {shorten(turn)}")
    speaker = turn.get("from")
    role = _ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise SampleError(sample_id, f"unknown speaker {shorten(speaker)}; allowed are {', '.join(_ROLES)}")
    return Message(cast(Role, role), split_at_marks(turn["value"], queue))
