"""A table of captions as samples: the user's turn with the files, perhaps a question, and the caption as the answer."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from omni.media.item import Media, media_from_value
from omni.media.source import what_it_looks_like
from omni.readers.captions import CaptionRow, TableFormat, read_table
from omni.readers.dataset import PreparedDataset, SampleDataset
from omni.readers.jsonl import existing_folder
from omni.readers.media_cells import LONGEST_NAME, MediaCell
from omni.readers.modality_of_content import modality_of_content
from omni.readers.modality_of_file import Modalities, modality_of
from omni.samples.messages import Sample, SampleError, parse_sample

# Folders that divide a data set, and are no class or category of what is in them.
DIVISIONS = {
    *("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "data"),
    *("images", "image", "img", "imgs", "audio", "audios", "sounds", "wav", "wavs", "video", "videos"),
}


def read_captions(
    table: str | Path,
    modality: Modalities = None,
    *,
    file: str | None = None,
    caption: str | None = None,
    question: str | None = None,
    separator: str | None = None,
    media_folder: str | Path | None = None,
) -> SampleDataset:
    """Read a table of captions (`.csv`, `.tsv`, `.txt`, `.jsonl`) that names files relative to its folder.

    Where a row has several captions (`caption_1` to `caption_5`, or a list), the first is the answer, and all of them
    are in `meta.captions`. A column `question` beside one of answers is the user's text. Several columns of media
    (`image` and `audio`, `image_1` and `image_2`) all belong to the row, in their order.

    Args:
        table: the file, in UTF-8, with a first line that names the columns.
        modality: the modality of all files, or extension -> modality; default: by extension, or, where a cell holds
            the file itself in base64, by its first bytes.
        file, caption, question: the names of the columns; default: by the names that are in use. With `file`, no other
            column holds media.
        separator: the character between the columns; default: what the first line shows.
        media_folder: the folder that relative paths start from; default: that of the table.

    Raises:
        FileNotFoundError, ValueError: there is no such table, it lacks a column or is damaged.
    """
    base = None if media_folder is None else existing_folder(media_folder, "media folder")
    path = Path(table).absolute()
    entries = table_entries(path, modality, TableFormat(file, caption, question, separator), base or path.parent)
    return PreparedDataset(entries)


def table_entries(
    table: Path,
    modality: Modalities,
    format: TableFormat,
    base: Path,
    id_prefix: str = "",
    named: set[str] | None = None,
) -> Sequence[Sample | SampleError]:
    """Return the samples of a table whose relative paths start from `base`; ids are the files' names with a prefix.

    The paths of the files that its rows name, whether or not the rows can be used, are added to `named`.
    """
    if not table.is_file():
        raise FileNotFoundError(f"the table of captions {table} does not exist")
    entries: list[Sample | SampleError] = []
    seen: dict[str, int] = {}
    for row in read_table(table, format, base):
        if isinstance(row, SampleError):
            entries.append(row)
            continue
        if named is not None:
            named.update(_paths(row, base))
        if row.problem is not None:
            entries.append(SampleError(row.place, row.problem))
            continue
        name = row.file.replace("\\", "/") if len(row.file) < LONGEST_NAME else row.place
        seen[name] = seen.get(name, 0) + 1
        sample_id = id_prefix + (name if seen[name] == 1 else f"{name}#{seen[name]}")
        try:
            entries.append(_sample(row, base, sample_id, modality))
        except SampleError as error:
            entries.append(error.bare())
    if not entries:
        raise ValueError(f"{table} has no rows")
    return entries


def _paths(row: CaptionRow, base: Path) -> Iterator[str]:
    for cell in filter(lambda cell: cell.is_path, row.media):
        with suppress(ValueError):  # which the row's sample reports
            path = media_from_value("image", cell.value, base).path
            if isinstance(path, str):
                yield os.path.normpath(path)


def category_of(sample_id: str) -> dict[str, str]:
    """Return `meta` of a file in subfolders: its category is the first folder that does not only divide the data."""
    folders = (name for name in sample_id.split("/")[:-1] if name and name.lower() not in DIVISIONS)
    category = next(folders, None)
    return {} if category is None else {"category": category}


def _sample(row: CaptionRow, base: Path, sample_id: str, modality: Modalities) -> Sample:
    media: list[Media] = []
    for cell in row.media:
        try:
            media.append(_media(cell, base, modality))
        except ValueError as error:
            hint = "" if len(row.media) == 1 else "; or name the only column of files with the option `file`"
            place = "" if len(row.media) == 1 else f"the column {cell.column}: "
            raise SampleError(sample_id, f"{place}{error}{hint}") from error
    answer, *others = row.captions
    captions = {"captions": [answer, *others]} if others else {}
    meta = {"caption": answer, **captions, **category_of(sample_id)}
    turns = [
        {"role": "user", "content": media if row.question is None else row.question},
        {"role": "assistant", "content": answer},
    ]
    columns: dict[str, list[Media]] = {}
    for item in [] if row.question is None else media:
        columns.setdefault(item.modality, []).append(item)
    return parse_sample({"id": sample_id, "messages": turns, "meta": meta}, media_keys={}, media=columns, in_front=True)


def _media(cell: MediaCell, base: Path, modality: Modalities) -> Media:
    media = media_from_value("image", cell.value, base)
    return Media(_modality(media, cell, modality), path=media.path, data=media.data)


def _modality(media: Media, cell: MediaCell, modality: Modalities) -> str:
    """Return the modality of a cell: as given, by its column, by the file's ending, or by the content of base64."""
    if isinstance(modality, str):
        return modality
    if cell.modality is not None and modality is None:
        return cell.modality
    if not isinstance(media.data, bytes):
        return modality_of(os.path.splitext(cell.value)[1].lower(), modality)
    found = modality_of_content(media.data)
    if found is None:
        looks = what_it_looks_like(media.data)
        raise ValueError(f"the row holds a file in base64 whose modality is not known{looks}; give it as `modality`")
    return found
