"""JSON lines (one sample per line) and JSON arrays, in the messages form."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from omni.readers.dataset import InMemoryDataset, SampleDataset
from omni.readers.row_digest import hash_of
from omni.samples.messages import Sample, SampleError, parse_sample

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RepeatedKeyError(Exception):
    """An object of JSON has the same key twice, of which Python's parser would keep the last without a word."""


class JsonlDataset(SampleDataset):
    """Samples of a JSON-lines file; memory holds only the places of its lines, and a line is read when it is asked for.

    The file is opened anew for every line (some 20 microseconds), so no file position is shared between processes.
    """

    def __init__(self, path: Path, parse: Callable[[Any, str], Sample]) -> None:
        self.path = path
        self.parse = parse
        self._starts, self._sizes, self._line_numbers = _index_lines(path)

    def __len__(self) -> int:
        return len(self._starts)

    def fingerprint(self, rows: Sequence[int]) -> str:
        with open(self.path, "rb") as file:
            return hash_of(self._line(file, row).strip() for row in rows)

    def place(self, index: int) -> str:
        return f"line {self._line_numbers[index]} of {self.path.name}"

    def _line(self, file: BinaryIO, index: int) -> bytes:
        file.seek(int(self._starts[index]))
        return file.read(int(self._sizes[index]))

    def _read(self, index: int) -> Sample:
        line_id = f"{self.path.name}:{self._line_numbers[index]}"
        with open(self.path, "rb") as file:
            line = self._line(file, index)
        try:
            row = json.loads(line.decode("utf-8"), object_pairs_hook=object_of)
        except RepeatedKeyError as error:
            raise SampleError(line_id, str(error)) from None
        except UnicodeDecodeError as error:
            raise SampleError(line_id, f"the line is not UTF-8 text ({error}); save the file as UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise SampleError(line_id, f"the line is not valid JSON ({error}); correct or remove it") from None
        return self.parse(row, line_id)


class JsonListDataset(InMemoryDataset):
    """Samples of a JSON file that is one list, held in memory.

    Raises:
        ValueError: the file is no JSON list.
    """

    def __init__(self, path: Path, parse: Callable[[Any, str], Sample]) -> None:
        rows, self.repeated_keys = _load_list(path)
        super().__init__(rows, parse, path.name)

    def _read(self, index: int) -> Sample:
        if index in self.repeated_keys:
            raise SampleError(f"{self.name}:{index + 1}", self.repeated_keys[index])
        return super()._read(index)


def read_jsonl(
    path: str | Path,
    modalities: Collection[str] | None = None,
    *,
    media_folder: str | Path | None = None,
    media: Mapping[str, str] | None = None,
) -> JsonlDataset:
    """Read a manifest: one JSON object per line; relative paths in it start from its folder.

    A malformed line is a `SampleError` with its number (`train.jsonl:17`), which is also the id of rows that have none.
    Blank lines, a byte order mark and Windows line ends are fine.

    Args:
        path: the file.
        modalities: the modalities that are allowed; None allows any.
        media_folder: the folder that relative paths start from; default: that of `path`.
        media: key -> modality of the keys beside the messages that hold media (`images`, ...); default: by their names.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = existing_file(path)
    return JsonlDataset(path, _parser(path, modalities, media_folder, media))


def read_json(
    path: str | Path,
    modalities: Collection[str] | None = None,
    *,
    media_folder: str | Path | None = None,
    media: Mapping[str, str] | None = None,
) -> SampleDataset:
    """Read a JSON file that is one list of rows in the messages form; the arguments are those of `read_jsonl`.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is no JSON list.
    """
    path = existing_file(path)
    return JsonListDataset(path, _parser(path, modalities, media_folder, media))


def _load_list(path: Path) -> tuple[list[Any], dict[int, str]]:
    """Load the list that a JSON file holds, and what is wrong with the rows that have a key twice, by number."""
    text = path.read_text(encoding="utf-8-sig")
    # by the id of an object, which is kept, as Python gives the id of a lost one anew
    repeated: dict[int, tuple[Any, str]] = {}

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        try:
            return object_of(pairs)
        except RepeatedKeyError as error:
            value = dict(pairs)
            repeated[id(value)] = (value, str(error))
            return value

    try:
        rows = json.loads(text, object_pairs_hook=read_object)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); a file of one object per line must end in .jsonl"
        ) from error
    if not isinstance(rows, list):
        raise ValueError(f"{path} must hold a list of rows, but holds a {type(rows).__name__}")
    wrong: dict[int, str] = {}
    for number, row in enumerate(rows if repeated else []):
        for value in _objects(row):
            if id(value) in repeated:
                wrong[number] = repeated[id(value)][1]
    return rows, wrong


def _objects(row: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a row, itself included."""
    values = [row]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            yield value
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises RepeatedKeyError, which names the key that it has twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        [(key, count)] = Counter(key for key, _ in pairs).most_common(1)
        raise RepeatedKeyError(
            f"an object has the key {key!r} {count} times, so values would be lost; keep one of them"
        )
    return value


def existing_file(path: str | Path) -> Path:
    """Return `path` as an absolute path. Raises FileNotFoundError if it is no file."""
    path = Path(path).absolute()
    if not path.is_file():
        reason = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"the data file {path} {reason}")
    return path


def existing_folder(path: str | Path, what: str) -> Path:
    """Return `path` as an absolute path. Raises FileNotFoundError, which names `what`, if it is no folder."""
    path = Path(path).expanduser().absolute()
    if not path.is_dir():
        raise FileNotFoundError(f"the {what} {path} does not exist")
    return path


def _parser(
    path: Path,
    modalities: Collection[str] | None,
    media_folder: str | Path | None,
    media: Mapping[str, str] | None,
) -> Callable[[Any, str], Sample]:
    base = path.parent if media_folder is None else existing_folder(media_folder, "media folder")
    return partial(_parse, base=base, modalities=modalities, media=media)


def _parse(
    row: Any, default_id: str, base: Path, modalities: Collection[str] | None, media: Mapping[str, str] | None
) -> Sample:
    return parse_sample(row, base, modalities, default_id=default_id, media_keys=media)


def _index_lines(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the start (in bytes), size (in bytes) and number (from 1) of every line that is not blank."""
    starts, sizes, numbers = [], [], []
    position = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            skipped = len(_BYTE_ORDER_MARK) if number == 1 and line.startswith(_BYTE_ORDER_MARK) else 0
            if line[skipped:].strip():
                starts.append(position + skipped)
                sizes.append(len(line) - skipped)
                numbers.append(number)
            position += len(line)
    return np.array(starts, np.int64), np.array(sizes, np.int64), np.array(numbers, np.int64)
