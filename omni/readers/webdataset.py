"""WebDataset tar shards as samples: JSON in the messages form, or a caption and media by their extensions."""

import json
import os
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np
import safetensors.numpy
from PIL import Image

from omni.media.errors import MediaError
from omni.media.image import open_image
from omni.media.item import Media, shorten
from omni.media.npy import read_npy
from omni.readers.columns import CAPTION_COLUMNS, texts_in
from omni.readers.dataset import StreamDataset, unreadable
from omni.readers.jsonl import RepeatedKeyError, object_of
from omni.readers.modality_of_file import AMBIGUOUS, MODALITY_OF_EXTENSION, is_media
from omni.readers.shard_counts import shard_sizes_of
from omni.readers.shard_names import expand_shards, is_command
from omni.readers.tar_shard import RawSample, ShardError, read_samples
from omni.samples.media_keys import MEDIA_KEYS
from omni.samples.messages import Message, Sample, SampleError, Text, parse_sample
from omni.samples.spellings import TURN_KEYS, turns_of

CAPTION_EXTENSIONS = ("txt", "caption", "text", "cap")
Entry = RawSample | SampleError


class ShardDataset(StreamDataset):
    """Tar shards, read in order. Any row can be asked for, but only the next ones come fast.

    Args:
        shards: files, or `pipe:COMMAND`.
        sizes: the number of samples of each shard.
        media: extension -> modality, or one modality for all known extensions; default: by extension.
        caption: extension of the member that holds the caption; default: the first of `CAPTION_EXTENSIONS`.
        shuffle_buffer: how many samples training may hold back to mix their order.
        lanes: how many parts training reads at the same time; None = one for each process and worker.
    """

    def __init__(
        self,
        shards: Sequence[str],
        sizes: Sequence[int],
        media: str | Mapping[str, str] | None = None,
        caption: str | None = None,
        shuffle_buffer: int = 1000,
        lanes: int | None = None,
    ) -> None:
        self.shards = tuple(shards)
        self.sizes = tuple(sizes)
        self.media = media
        self.caption = caption
        self.shuffle_buffer = shuffle_buffer
        self.lanes = lanes
        self._first_rows = [0, *accumulate(self.sizes)]
        self._reading: tuple[int, int, Iterator[Entry]] | None = None  # process id, next row, entries from there on

    def __len__(self) -> int:
        return self._first_rows[-1]

    @property
    def can_reread(self) -> bool:
        """Whether no shard is the output of a command, which would have to run once more."""
        return not any(map(is_command, self.shards))

    def entries(self, shard: int, start: int = 0) -> Iterator[Entry]:
        """Yield the samples of shard number `shard` from `start` on: as many as its size says, whatever happens.

        Errors with the id of the shard take the places of samples that are missing.
        """
        name, size = self.shards[shard], self.sizes[shard]
        place, reason = start, None
        try:
            for sample in islice(read_samples(name, start), size - start):
                yield sample
                place += 1
        except ShardError as error:
            reason = error.reason
        reason = reason or "it has fewer samples than were counted"
        for _ in range(place, size):
            yield SampleError(name, f"{reason}; sample {place + 1} of {size} and what follows are lost")

    def decode(self, entry: Entry, shard: int) -> Sample | SampleError:
        """Decode a sample of shard number `shard` into the messages form; return an error if that is not possible."""
        if isinstance(entry, SampleError):
            return entry
        name = "pipe" if is_command(self.shards[shard]) else os.path.basename(self.shards[shard])
        try:
            return decode_sample(entry, f"{name}/{entry.key}", self.media, self.caption)
        except SampleError as error:
            return error.bare()
        except Exception as error:  # as in SampleDataset
            return unreadable(f"{name}/{entry.key}", error)

    def limited(self, limit: int) -> "ShardDataset":
        """Return the same data set with its first `limit` rows only."""
        kept = [max(0, min(size, limit - first)) for size, first in zip(self.sizes, self._first_rows, strict=False)]
        count = sum(size > 0 for size in kept)
        return ShardDataset(
            self.shards[:count], kept[:count], self.media, self.caption, self.shuffle_buffer, self.lanes
        )

    def _read(self, index: int) -> Sample:
        shard = bisect_right(self._first_rows, index) - 1
        reading = self._reading
        # A forked worker must not read on where its parent does: they share the position in the file.
        if reading is None or reading[0] != os.getpid() or not self._first_rows[shard] < reading[1] <= index:
            reading = os.getpid(), index, self.entries(shard, index - self._first_rows[shard])
        _, row, entries = reading
        entry = next(islice(entries, index - row, None))
        self._reading = os.getpid(), index + 1, entries
        sample = self.decode(entry, shard)
        if isinstance(sample, SampleError):
            raise sample
        return sample

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_reading": None}


def read_webdataset(
    path: str | Sequence[str],
    media: str | Mapping[str, str] | None = None,
    caption: str | None = None,
    shard_sizes: int | Sequence[int] | str | None = None,
    shuffle_buffer: int = 1000,
    lanes: int | None = None,
) -> ShardDataset:
    """Open tar shards of the WebDataset format (see docs/data.md).

    Args:
        path: a pattern (`shards/train-{000..999}.tar`, `shards/*.tar`, `pipe:COMMAND`) or a list of them.
        media: extension -> modality (`{"jpg": "thermal"}`), or one modality for all known extensions.
        caption: extension of the caption's file, such as `en.txt`.
        shard_sizes: samples of each shard: one number for all, a list, or a JSON file of name -> number. Without it
            they are counted, once for files, at every start for commands.
        shuffle_buffer: how many samples training may hold back to mix their order; 1 keeps the order of the archive.
        lanes: how many parts training reads at the same time; None = one for each process and worker.

    Raises:
        FileNotFoundError, ValueError: shards are missing, or an option does not fit.
    """
    for name, value in (("shuffle_buffer", shuffle_buffer), ("lanes", lanes)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"option {name} of {path} is {value!r}, but must be a whole number of at least 1")
    shards = expand_shards(path)
    return ShardDataset(shards, shard_sizes_of(shards, shard_sizes), media, caption, shuffle_buffer, lanes)


def decode_sample(
    raw: RawSample, sample_id: str, media: str | Mapping[str, str] | None = None, caption: str | None = None
) -> Sample:
    """Make a sample of its files: `json` with `messages` whose media name extensions, else media and a caption.

    Raises:
        SampleError: it has neither, or a file cannot be used.
    """
    if raw.problem is not None:
        raise SampleError(sample_id, raw.problem)
    row = _json(raw, sample_id)
    if turns_of(row) is not None:
        return _conversation(raw, row, sample_id, media)
    text, *others = _captions(raw, row, sample_id, caption)
    items = [item for items in _members_by_modality(raw, media, sample_id).values() for item in items]
    if not items:
        raise SampleError(
            sample_id,
            f"no member is media: it has {_names(raw)}; known extensions are "
            f"{' '.join(sorted(MODALITY_OF_EXTENSION))}, others are named by the option media, {{EXTENSION: MODALITY}}",
        )
    captions = {"captions": [text, *others]} if others else {}
    meta = {key: value for key, value in row.items() if key != "id"} | {"caption": text} | captions
    return Sample(sample_id, (Message("user", tuple(items)), Message("assistant", (Text(text),))), meta)


def _conversation(
    raw: RawSample, row: Mapping[str, Any], sample_id: str, media: str | Mapping[str, str] | None
) -> Sample:
    """Make a sample of messages, whose parts or keys name members, or whose marks take the members that are media."""
    used: set[str] = set()
    turns = {key: _with_members(row[key], raw, sample_id, used) for key in TURN_KEYS if row.get(key) is not None}
    row = {**row, **turns}
    if _name_members(turns):
        _check_all_named(raw, used, media, sample_id)
        return parse_sample(row, default_id=sample_id, media_keys={})
    named = {key: row[key] for key in row if key in MEDIA_KEYS and _are_members(row[key], raw)}
    if named:  # {"messages": ..., "images": ["0.jpg", "1.jpg"]}
        row = {**row, **{key: _contents_of(value, raw, sample_id, used) for key, value in named.items()}}
        _check_all_named(raw, used, media, sample_id)
        return parse_sample(row, default_id=sample_id, media_keys={key: MEDIA_KEYS[key] for key in named})
    columns = _members_by_modality(raw, media, sample_id)
    return parse_sample(row, default_id=sample_id, media_keys={}, media=columns)


def _name_members(value: Any) -> bool:
    """Return whether any part of messages has media of its own."""
    if isinstance(value, list):
        return any(map(_name_members, value))
    if not isinstance(value, dict):
        return isinstance(value, bytes | np.ndarray)  # what a key of a turn named
    kind = value.get("type")
    if isinstance(kind, str):
        return any(value.get(key) is not None for key in ("data", "bytes", "features", "path", kind) if key != "text")
    return any(map(_name_members, value.values()))


def _are_members(value: Any, raw: RawSample) -> bool:
    """Return whether a key's value names members of the sample: not a file's name of before, which is only said."""
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and _extension(raw, name) in raw.members for name in names)


def _check_all_named(
    raw: RawSample, used: Collection[str], media: str | Mapping[str, str] | None, sample_id: str
) -> None:
    """Raise SampleError if a member is a medium that no part and no key of the conversation has named."""
    named = {extension.lower().lstrip(".") for extension in media} if isinstance(media, Mapping) else None
    for name in raw.members:
        is_medium = is_media("." + name.rpartition(".")[2], None) if named is None else name in named
        if is_medium and name not in used:
            raise SampleError(
                sample_id,
                f"its messages name {', '.join(sorted(used)) or 'no member'}, but not its member {name}; name it, "
                "remove it, or say with the option media, {EXTENSION: MODALITY}, which members are media",
            )


def _contents_of(value: Any, raw: RawSample, sample_id: str, used: set[str]) -> list[Any]:
    contents = (_member(raw, name, sample_id, used) for name in (value if isinstance(value, list) else [value]))
    arrays = ((content, _array(content, extension, sample_id)) for extension, content in contents)
    return [content if array is None else array for content, array in arrays]


def _json(raw: RawSample, sample_id: str) -> dict[str, Any]:
    if "json" not in raw.members:
        return {}
    try:
        row = json.loads(raw.members["json"], object_pairs_hook=object_of)
    except RepeatedKeyError as error:
        raise SampleError(sample_id, f"its json member: {error}") from None
    except (ValueError, RecursionError) as error:
        raise SampleError(sample_id, f"its json member is not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise SampleError(sample_id, f"its json member must be an object, got {shorten(row)}")
    return row


def _captions(raw: RawSample, row: Mapping[str, Any], sample_id: str, extension: str | None) -> list[str]:
    """Return the text of the caption's member, else the captions in the JSON, as img2dataset and LAION write them."""
    wanted = CAPTION_EXTENSIONS if extension is None else (extension.lower().lstrip("."),)
    found = next((name for name in wanted if name in raw.members), None)
    if found is not None:
        try:
            texts = [raw.members[found].decode("utf-8-sig")]
        except UnicodeDecodeError as error:
            raise SampleError(sample_id, f"its {found} member is not UTF-8 text ({error})") from error
    else:
        key = next((name for name in CAPTION_COLUMNS if isinstance(row.get(name), str | list)), None)
        if key is None:
            raise SampleError(
                sample_id, f"no json member with 'messages' and no caption ({', '.join(wanted)}); it has {_names(raw)}"
            )
        texts = texts_in(row[key])
    texts = [text.strip() for text in texts if text.strip()]
    if not texts:
        raise SampleError(sample_id, "the caption is empty; fill it in or remove the sample")
    return texts


def _members_by_modality(
    raw: RawSample, media: str | Mapping[str, str] | None, sample_id: str
) -> dict[str, list[Media]]:
    """Return the members that are media by their modalities, in the order of the archive."""
    found: dict[str, list[Media]] = {}
    for extension, modality in _media_extensions(raw, media, sample_id):
        found.setdefault(modality, []).append(_media_of(modality, raw.members[extension], extension, sample_id))
    return found


def _media_extensions(raw: RawSample, media: str | Mapping[str, str] | None, sample_id: str) -> list[tuple[str, str]]:
    """Return the members that are media with their modalities, in the order of the archive."""
    if isinstance(media, Mapping):
        named = {extension.lower().lstrip("."): modality for extension, modality in media.items()}
        return [(name, named[name]) for name in raw.members if name in named]
    endings = [(name, "." + name.rpartition(".")[2]) for name in raw.members]
    unclear = [name for name, ending in endings if media is None and ending in AMBIGUOUS]
    if unclear:
        kinds = " or ".join(next(iter(AMBIGUOUS.values())))
        raise SampleError(
            sample_id,
            f"its member {unclear[0]} may be {kinds}, which is not guessed; say which with the option media, "
            f"{{{unclear[0]}: MODALITY}}, which names all members that are media",
        )
    known = [(name, media if ending in AMBIGUOUS else MODALITY_OF_EXTENSION.get(ending)) for name, ending in endings]
    return [(name, media or modality) for name, modality in known if modality is not None]


def _with_members(value: Any, raw: RawSample, sample_id: str, used: set[str]) -> Any:
    """Return messages whose media parts hold the content of the member that their `path` or `features` names.

    The extensions of these members are added to `used`.
    """
    if isinstance(value, list):
        return [_with_members(item, raw, sample_id, used) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    if not isinstance(kind, str):  # a turn, which may name media in keys of its own
        named = {key for key, item in value.items() if key in MEDIA_KEYS and _are_members(item, raw)}
        return {
            key: (_contents_of if key in named else _with_members)(item, raw, sample_id, used)
            for key, item in value.items()
        }
    if isinstance(value.get("features"), str):
        extension, content = _member(raw, value["features"], sample_id, used)
        return value | {"features": _features(content, extension, value.get("options", {}), sample_id)}
    # {"type": "image", "image": "jpg"} and {"type": "image_url", "image_url": {"url": "jpg"}} are other spellings
    source = "path" if "path" in value else kind if kind in value else kind + "_url"
    if isinstance(value.get(source), dict) and isinstance(value[source].get("url"), str):
        value = {**value, source: value[source]["url"]}
    names = value.get(source)
    if source == "text" or not isinstance(names, str | list):
        return value
    if isinstance(names, str) and names.startswith("data:"):
        return value
    part = {key: item for key, item in value.items() if key != source} | {"type": kind.removesuffix("_url")}
    if isinstance(names, list):
        return part | {"data": [_picture(*_member(raw, name, sample_id, used), sample_id) for name in names]}
    extension, content = _member(raw, names, sample_id, used)
    array = _array(content, extension, sample_id)
    return part | ({"bytes": content} if array is None else {"data": array})


def _member(raw: RawSample, name: Any, sample_id: str, used: set[str]) -> tuple[str, bytes]:
    """Return extension and content of the member that a part names by its extension or by its whole file name.

    The extension is added to `used`.
    """
    extension = _extension(raw, str(name))
    if extension not in raw.members:
        raise SampleError(sample_id, f"it names the member {name!r}, but has {_names(raw)}")
    used.add(extension)
    return extension, raw.members[extension]


def _extension(raw: RawSample, name: str) -> str:
    """Return the extension by which a sample knows the member of this name: `jpg`, `.jpg`, `7.jpg` or `x/7.jpg`."""
    key = raw.key.removeprefix("./")  # as `tar -cf shard.tar .` writes names
    text = name.removeprefix("./")
    for prefix in (key + ".", key.rpartition("/")[2] + ".", "."):
        text = text.removeprefix(prefix)
    return text.lower()


def _media_of(modality: str, content: bytes, extension: str, sample_id: str) -> Media:
    array = _array(content, extension, sample_id)
    return Media(modality, data=content if array is None else array)


def _array(content: bytes, extension: str, sample_id: str) -> np.ndarray | None:
    """Return the array of a `.npy` member; None for other files, which their modality's loader reads."""
    if extension.rpartition(".")[2] != "npy":
        return None
    try:
        return np.array(read_npy(content, extension))
    except ValueError as error:
        raise SampleError(sample_id, f"its {extension} member cannot be read as an array ({error})") from error


def _features(content: bytes, extension: str, options: Any, sample_id: str) -> np.ndarray:
    if extension.rpartition(".")[2] != "safetensors":
        array = _array(content, extension, sample_id)
        if array is None:
            raise SampleError(sample_id, f"features must be a npy or safetensors member, not {extension!r}")
        return array
    try:
        tensors = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise SampleError(sample_id, f"its {extension} member is damaged ({error})") from error
    key = options.get("key") if isinstance(options, Mapping) else None
    if key is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if key not in tensors:
        raise SampleError(sample_id, f"its {extension} member has {sorted(tensors)}; name one with the option 'key'")
    return tensors[key]


def _picture(extension: str, content: bytes, sample_id: str) -> Image.Image:
    try:
        with open_image(content, f"{extension} member") as picture:
            return picture.copy()
    except MediaError as error:
        raise SampleError(sample_id, f"its {extension} member is no picture ({error})") from error


def _names(raw: RawSample) -> str:
    return ", ".join(raw.members)
