"""Data sets of the Hugging Face `datasets` library: a folder, an id on the hub, or an opened one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni.media.item import Media, shorten
from omni.readers.columns import TextColumns, find_text_columns, texts_in
from omni.readers.dataset import SampleDataset
from omni.readers.huggingface_table import OpenedTable, is_pairs_column, label_names, media_columns, open_table
from omni.readers.jsonl import existing_folder
from omni.samples.media_keys import items_in
from omni.samples.messages import Sample, SampleError, parse_sample, resolve_modality
from omni.samples.spellings import TURN_KEYS

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_PREFERENCE_COLUMNS = {"chosen", "rejected"}
_PAIRS_COLUMN = "texts"
_NO_LABEL = -1  # what `datasets` writes for rows of a test split, whose class is not known


class HuggingFaceDataset(SampleDataset):
    """Samples of a table: from its column of messages, from media with a caption or answer, or from preference pairs.

    With neither `messages` nor an answer the table holds preference pairs: chosen, rejected and perhaps prompt.
    """

    def __init__(
        self,
        opened: OpenedTable,
        messages: str | None,
        media: Mapping[str, str],
        texts: TextColumns,
        id_column: str | None,
        modalities: Collection[str] | None,
    ) -> None:
        self.table = opened.table
        self.folder = opened.folder
        self.is_of_hub = opened.is_of_hub
        self.messages = messages
        self.media = dict(media)
        self.texts = texts
        self.id_column = id_column
        self.modalities = modalities
        self._label_names = None if texts.answer is None else label_names(opened.table, texts.answer)

    def __len__(self) -> int:
        return len(self.table)

    def _read(self, index: int) -> Sample:
        try:
            row: dict[str, Any] = self.table[index].to_pylist()[0]  # type: ignore[union-attr]  # a table of Arrow's
        except Exception as error:  # Arrow raises its own errors on damaged files
            raise SampleError(f"row {index}", f"the row cannot be read ({error})") from error
        named = None if self.id_column is None else row[self.id_column]
        sample_id = f"row {index}" if named is None or named == "" else str(named)
        media = self._media(row, sample_id)
        rest = {
            key: value
            for key, value in row.items()
            if key not in {self.messages, self.id_column, *self.texts.used, *self.media}
        }
        if self.messages is not None:
            turns = _unzipped(row[self.messages])
            is_pairs = self.messages == _PAIRS_COLUMN  # the Cauldron's pictures stand before its texts, without marks
            return self._parsed({"messages": turns, "meta": rest}, media, sample_id, in_front=is_pairs)
        if self.texts.answer is None:
            return self._parsed(rest, media, sample_id, in_front=True)
        return self._captioned(row, rest, media, sample_id)

    def _media(self, row: Mapping[str, Any], sample_id: str) -> dict[str, list[Media]]:
        """Return the media of a row by modality; a cell with nothing in it is no key at all."""
        found: dict[str, list[Media]] = {}
        for column, named in self.media.items():
            try:
                modality = resolve_modality(named, self.modalities)
                items = items_in(row[column], modality, self.folder)
            except ValueError as error:
                raise SampleError(sample_id, f"{column!r}: {error}") from error
            for item in items:
                if self.is_of_hub and isinstance(item.path, str) and not os.path.isabs(item.path):
                    reason = (
                        "names a file, which a table of the hub does not bring along; fetch the repository, and give"
                    )
                    raise SampleError(sample_id, f"{column!r} {reason} its folder as `media_folder`: {item.path}")
                found.setdefault(modality, []).append(item)
        return found

    def _captioned(
        self, row: Mapping[str, Any], rest: Mapping[str, Any], media: dict[str, list[Media]], sample_id: str
    ) -> Sample:
        items = [item for column in media.values() for item in column]
        if not items:
            raise SampleError(sample_id, f"the row has nothing in {', '.join(self.media)}")
        answer, *others = self._answers(row[self.texts.answer or ""], sample_id)
        question = None if self.texts.question is None else row[self.texts.question]
        if question is None or question == "":
            content, media = items, {}
        else:
            content = str(question)
        turns = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        meta = {"caption": answer, **({"captions": [answer, *others]} if others else {}), **rest}
        return self._parsed({"messages": turns, "meta": meta}, media, sample_id, in_front=True)

    def _parsed(
        self, row: Mapping[str, Any], media: Mapping[str, list[Media]], sample_id: str, in_front: bool
    ) -> Sample:
        return parse_sample(
            {**row, "id": sample_id},
            self.folder,
            self.modalities,
            media_keys={},
            media=media,
            in_front=in_front,
        )

    def _answers(self, cell: Any, sample_id: str) -> list[str]:
        """Return the texts of a caption's cell, at least one; class labels are their names."""
        column = self.texts.answer
        if self._label_names is not None:
            labels = cell if isinstance(cell, list) else [cell]
            if not labels or any(label in (None, _NO_LABEL) for label in labels):
                raise SampleError(sample_id, f"the row has no label: {shorten(cell)} in {column!r} means none")
            return [self._label_names[label].replace("_", " ") for label in labels]
        texts = texts_in(cell)
        if not texts:
            raise SampleError(sample_id, f"the caption in {column!r} must be text, got {shorten(cell)}")
        return texts


def read_datasets(
    source: str | Path | Dataset | DatasetDict,
    split: str = "train",
    *,
    messages: str | None = None,
    media: Mapping[str, str] | None = None,
    caption: str | None = None,
    instruction: str | None = None,
    id_column: str | None = None,
    config: str | None = None,
    modalities: Collection[str] | None = None,
    media_folder: str | Path | None = None,
) -> SampleDataset:
    """Read a data set of the `datasets` library.

    Args:
        source: a folder (of `save_to_disk`, or of data files), a `.parquet` or `.arrow` file, an id on the hub, or an
            opened data set.
        split: the name of a split.
        messages: column of conversations; default: `messages`, `conversation(s)` or the Cauldron's `texts`, if there is
            one.
        media: column -> modality; default: columns of pictures, sounds and videos, by their type or name.
        caption: column of the answers, if there are no conversations: text, class labels, or lists of texts (the
            first text is taken, the others are in `meta`); default: the first that exists of caption, text,
            transcription, ..., or of answer, ... where there is a question.
        instruction: column of the user's text that goes with the media; default: `question` (or query, instruction,
            ...) if there is one beside answers; "" for none.
        id_column: column of ids; default: `id` if there is one, else the number of the row.
        config: the configuration's name (the hub calls it subset).
        modalities: the modalities that are allowed; None allows any.
        media_folder: the folder that relative paths in the table start from; default: the table's own.

    Columns `chosen` and `rejected`, without conversations or captions, make it preference data
    (`omni.samples.preferences`).

    Raises:
        ValueError: it cannot be opened, or has no such split or column.
    """
    opened = open_table(source, split, config)
    if media_folder is not None:
        opened = OpenedTable(opened.table, existing_folder(media_folder, "media folder"), False)
    table = opened.table
    columns = list(table.column_names)
    for column in (messages, caption, instruction or None, id_column, *(media or ())):
        if column is not None and column not in columns:
            raise ValueError(f"the data set has no column {column!r}; it has {', '.join(columns)}")
    if messages is None and caption is None:
        messages = next((name for name in TURN_KEYS if name in columns), None)
        messages = _PAIRS_COLUMN if messages is None and is_pairs_column(table, _PAIRS_COLUMN) else messages
    media = media_columns(table, messages) if media is None else media
    id_column = id_column or ("id" if "id" in columns else None)
    is_preference = messages is None and caption is None and set(columns) >= _PREFERENCE_COLUMNS
    texts = TextColumns(None, None)
    if messages is None and not is_preference:
        texts = find_text_columns(columns, {*media, *([id_column] if id_column else [])}, caption, instruction)
        if texts.answer is None or not media:
            missing = "captions (`caption`)" if media else "media (`media`: column -> modality)"
            raise ValueError(f"say which column holds the {missing}, or the conversations; it has {', '.join(columns)}")
    return HuggingFaceDataset(opened, messages, media, texts, id_column, modalities)


def _unzipped(turns: Any) -> Any:
    """Return a list of turns; older tables hold one object of lists (`Sequence` of `datasets`)."""
    if not isinstance(turns, Mapping) or not all(isinstance(values, list) for values in turns.values()):
        return turns
    keys = list(turns)
    return [dict(zip(keys, values, strict=True)) for values in zip(*(turns[key] for key in keys), strict=False)]
