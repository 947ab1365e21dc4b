"""Data sets of the Hugging Face `datasets` library: a folder, an id on the hub, or an opened one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni.media.item import Media, media_from_value, shorten
from omni.readers.dataset import SampleDataset
from omni.readers.placeholders import MediaQueue
from omni.samples.messages import Message, Sample, SampleError, Text, parse_sample, resolve_modality
from omni.samples.preference_rows import split_prompt

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_CAPTION_COLUMNS = ("caption", "text", "transcription", "transcript", "sentence", "answer", "label")
_PREFERENCE_COLUMNS = {"chosen", "rejected"}
_MESSAGES_COLUMNS = ("messages", "conversation", "conversations")
# Column -> modality, for columns whose type does not say it.
_MEDIA_COLUMNS = {
    name + plural: modality
    for name, modality in {
        "image": "image",
        "audio": "sound",
        "sound": "sound",
        "speech": "speech",
        "video": "video",
    }.items()
    for plural in ("", "s")
}


class HuggingFaceDataset(SampleDataset):
    """Samples of a table: from its column of messages, from media and a caption, or from preference pairs.

    With neither `messages` nor `caption` the table holds preference pairs: chosen, rejected and perhaps prompt.
    """

    def __init__(
        self,
        table: Dataset,
        messages: str | None,
        media: Mapping[str, str],
        caption: str | None,
        instruction: str | None,
        id_column: str | None,
        modalities: Collection[str] | None,
    ) -> None:
        self.table = table
        self.messages = messages
        self.media = dict(media)
        self.caption = caption
        self.instruction = instruction
        self.id_column = id_column
        self.modalities = modalities
        names = getattr(table.features[caption], "names", None) if caption is not None else None
        self._caption_names: list[str] | None = names  # the names of a ClassLabel

    def __len__(self) -> int:
        return len(self.table)

    def _read(self, index: int) -> Sample:
        try:
            row: dict[str, Any] = self.table[index]
        except Exception as error:  # `datasets` decodes here, and decoders raise nearly anything on broken bytes
            raise SampleError(f"row {index}", f"the row cannot be decoded ({error})") from error
        sample_id = f"row {index}" if self.id_column is None else str(row[self.id_column])
        media = {column: self._media(row[column], modality, sample_id) for column, modality in self.media.items()}
        if self.messages is not None:
            return self._conversation(row, row[self.messages], media, sample_id)
        if self.caption is None:
            return self._preference(row, media, sample_id)
        return self._captioned(row, media, sample_id)

    def _media(self, value: Any, modality: str, sample_id: str) -> list[Media]:
        is_list = isinstance(value, list) and not all(isinstance(item, int | float | list) for item in value)
        try:
            modality = resolve_modality(modality, self.modalities)
            values = value if is_list else [value]
            return [media_from_value(modality, item) for item in values if item is not None]
        except ValueError as error:
            raise SampleError(sample_id, str(error)) from error

    def _preference(self, row: Mapping[str, Any], media: Mapping[str, list[Media]], sample_id: str) -> Sample:
        """Put the prompt with its media into `messages`; media that no part asks for stand before its text."""
        try:
            row = split_prompt(row)
        except (ValueError, TypeError) as error:
            raise SampleError(sample_id, str(error)) from error
        first, *others = row.pop("messages")
        if media and isinstance(first.get("content"), str):
            first = {**first, "content": [item for items in media.values() for item in items] + [first["content"]]}
            media = {}
        return self._conversation(row, [first, *others], media, sample_id)

    def _conversation(
        self, row: Mapping[str, Any], messages: Any, media: Mapping[str, list[Media]], sample_id: str
    ) -> Sample:
        """Fill the parts without content (`{"type": "image"}`) in order with the media of columns of their own."""
        by_modality: dict[str, list[Media]] = {}
        for items in media.values():
            for item in items:
                by_modality.setdefault(item.modality, []).append(item)
        queue = MediaQueue(sample_id, by_modality)
        if media and isinstance(messages, list):
            messages = [_filled(message, queue, self.modalities, sample_id) for message in messages]
            queue.check()
        used = {self.messages, self.id_column, *self.media}
        rest = {key: value for key, value in row.items() if key not in used}
        return parse_sample({"id": sample_id, "messages": messages, "meta": rest}, None, self.modalities)

    def _captioned(self, row: Mapping[str, Any], media: Mapping[str, list[Media]], sample_id: str) -> Sample:
        parts: list[Text | Media] = [item for items in media.values() for item in items]
        if not parts:
            raise SampleError(sample_id, f"the row has nothing in {', '.join(self.media)}")
        caption = self._caption_text(row, sample_id)
        if self.instruction is not None and row[self.instruction]:
            parts.append(Text(str(row[self.instruction])))
        used = {self.id_column, self.caption, self.instruction, *self.media}
        meta = {"caption": caption, **{key: value for key, value in row.items() if key not in used}}
        return Sample(sample_id, (Message("user", tuple(parts)), Message("assistant", (Text(caption),))), meta)

    def _caption_text(self, row: Mapping[str, Any], sample_id: str) -> str:
        caption = row[self.caption or ""]
        caption = caption[0] if isinstance(caption, list) and caption else caption
        if self._caption_names is not None and isinstance(caption, int):
            return self._caption_names[caption].replace("_", " ")
        if not isinstance(caption, str):
            raise SampleError(sample_id, f"the caption in {self.caption!r} must be text, got {shorten(caption)}")
        return caption


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
) -> SampleDataset:
    """Read a data set of the `datasets` library.

    Args:
        source: a folder (of `save_to_disk`, or of data files), a `.parquet` or `.arrow` file, an id on the hub, or an
            opened data set.
        split: the name of a split.
        messages: column of conversations; default: `messages`, if there is one.
        media: column -> modality; default: columns of pictures and sounds, by their type or name.
        caption: column of the answers, if there are no conversations: text, class labels, or lists of texts (the
            first text is taken); default: the first that exists of caption, text, transcription, ...
        instruction: column of the user's text that goes with the media; default: none.
        id_column: column of ids; default: `id` if there is one, else the number of the row.
        config: the configuration's name (the hub calls it subset).
        modalities: the modalities that are allowed; None allows any.

    Columns `chosen` and `rejected`, without conversations or captions, make it preference data
    (`omni.samples.preferences`).

    Raises:
        ValueError: it cannot be opened, or has no such split or column.
    """
    table = _undecoded(_open(source, split, config))
    columns = list(table.column_names)
    for column in (messages, caption, instruction, id_column, *(media or ())):
        if column is not None and column not in columns:
            raise ValueError(f"the data set has no column {column!r}; it has {', '.join(columns)}")
    if messages is None and caption is None:
        messages = next((name for name in _MESSAGES_COLUMNS if name in columns), None)
    media = _guess_media(table, messages) if media is None else media
    is_preference = messages is None and caption is None and set(columns) >= _PREFERENCE_COLUMNS
    if messages is None and not is_preference:
        caption = caption or next((name for name in _CAPTION_COLUMNS if name in columns and name not in media), None)
        if caption is None or not media:
            missing = "captions (`caption`)" if media else "media (`media`: column -> modality)"
            raise ValueError(f"say which column holds the {missing}, or the conversations; it has {', '.join(columns)}")
    id_column = id_column or ("id" if "id" in columns else None)
    return HuggingFaceDataset(table, messages, media, caption, instruction, id_column, modalities)


def _open(source: str | Path | Dataset | DatasetDict, split: str, config: str | None) -> Dataset:
    # Imported here because it takes more than a second, which users of other readers should not wait for.
    import datasets

    loaded: Any = source
    if isinstance(source, str | Path):
        try:
            loaded = _load(str(source), split, config)
        except Exception as error:  # dozens of error types, from the network to the file formats
            hint = "check the name, the split and, for the hub, the network"
            raise ValueError(f"cannot open the data set {str(source)!r}, split {split!r}: {error}; {hint}") from error
    if isinstance(loaded, datasets.DatasetDict):
        if split not in loaded:
            raise ValueError(f"the data set has no split {split!r}; it has {', '.join(map(str, loaded))}")
        loaded = loaded[split]
    if not isinstance(loaded, datasets.Dataset):
        kind = type(loaded).__name__
        raise ValueError(
            f"expected a data set with random access (datasets.Dataset), got {kind}; open it without streaming"
        )
    return loaded


def _load(source: str, split: str, config: str | None) -> Any:
    import datasets

    if Path(source, "dataset_dict.json").is_file() or Path(source, "state.json").is_file():
        return datasets.load_from_disk(source)
    suffix = Path(source).suffix.lower()
    if suffix in (".parquet", ".arrow") and Path(source).is_file():
        # Always called train by the builder: one file has one split.
        return datasets.load_dataset(suffix[1:], data_files=os.path.abspath(source), split="train")
    return datasets.load_dataset(source, config, split=split)


def _undecoded(table: Dataset) -> Dataset:
    """Give pictures and sounds as bytes or paths: decoding is the loaders' task, the same for all readers."""
    import datasets

    for column, feature in table.features.items():
        if isinstance(feature, datasets.Image | datasets.Audio):
            table = table.cast_column(column, type(feature)(decode=False))
        elif isinstance(feature, datasets.List) and isinstance(feature.feature, datasets.Image | datasets.Audio):
            table = table.cast_column(column, datasets.List(type(feature.feature)(decode=False)))
    return table


def _guess_media(table: Dataset, messages: str | None) -> dict[str, str]:
    import datasets

    media = {}
    for column, feature in table.features.items():
        inner = feature.feature if isinstance(feature, datasets.List) else feature
        if isinstance(inner, datasets.Image):
            media[column] = _MEDIA_COLUMNS.get(column, "image")
        elif isinstance(inner, datasets.Audio):
            media[column] = _MEDIA_COLUMNS.get(column, "sound")
        elif column in _MEDIA_COLUMNS and column != messages:
            media[column] = _MEDIA_COLUMNS[column]
    return media


def _filled(message: Any, queue: MediaQueue, modalities: Collection[str] | None, sample_id: str) -> Any:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), list):
        return message
    parts: list[Any] = []
    for part in message["content"]:
        kind = part.get("type") if isinstance(part, Mapping) else None
        is_empty = isinstance(part, Mapping) and all(
            value is None for key, value in part.items() if key not in ("type", "text")
        )
        if not isinstance(kind, str) or kind == "text" or not is_empty:
            parts.append(part)
            continue
        try:
            modality = resolve_modality("sound" if kind == "audio" and modalities is None else kind, modalities)
        except ValueError as error:
            raise SampleError(sample_id, str(error)) from error
        item = queue.next(modality)
        parts += [] if item is None else [item]
    return {**message, "content": parts}
