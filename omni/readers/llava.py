"""LLaVA's JSON: `conversations` of human and gpt, with `<image>` marks in the text, and files in keys of their own."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omni.media.item import shorten
from omni.readers.dataset import SampleDataset
from omni.readers.jsonl import JsonlDataset, JsonListDataset, existing_file, existing_folder
from omni.samples.messages import Sample, SampleError, parse_sample


def read_llava(
    path: str | Path,
    image_folder: str | Path | None = None,
    modalities: Collection[str] | None = None,
    *,
    media: Mapping[str, str] | None = None,
) -> SampleDataset:
    """Read LLaVA's JSON (one list) or JSON lines: `{"id", "image": file or files, "conversations": [{"from",
    "value"}]}`.

    The marks `<image>`, `<video>`, `<audio>` (= `<sound>`), ... take the files of the row's key of that name in order,
    and `<image>` those of whatever the row has; a row with more marks than files, or fewer, is a `SampleError`. Within
    a text, marks of what the row has not are words.

    Args:
        path: the `.json` or `.jsonl` file.
        image_folder: the folder from which relative paths of media start; default: the folder of `path`.
        modalities: the modalities that are allowed; None allows any.
        media: key -> modality of the keys that hold media; default: by their names.

    Raises:
        FileNotFoundError, ValueError: there is no such file or folder, or it is no JSON list.
    """
    path = existing_file(path)
    folder = path.parent if image_folder is None else existing_folder(image_folder, "image folder")
    parse = partial(parse_llava, base=folder, modalities=modalities, media=media)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return JsonlDataset(path, parse)
    return JsonListDataset(path, parse)


def parse_llava(
    row: Mapping[str, Any],
    default_id: str,
    base: Path,
    modalities: Collection[str] | None = None,
    media: Mapping[str, str] | None = None,
) -> Sample:
    """Make a sample of one LLaVA row. Raises SampleError."""
    if not isinstance(row, Mapping):
        raise SampleError(default_id, f"expected an object with 'conversations', got {shorten(row)}")
    turns = row.get("conversations")
    if not isinstance(turns, list):
        raise SampleError(
            str(row.get("id", default_id)), f"'conversations' must be a list of turns, got {shorten(turns)}"
        )
    return parse_sample(row, base, modalities, default_id=default_id, media_keys=media)
