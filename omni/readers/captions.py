"""Captions of files: from a table of captions, from a text file next to the file, or from its own name."""

import csv
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omni.readers.columns import (
    CAPTION_COLUMNS,
    FILE_COLUMNS,
    TextColumns,
    find_text_columns,
    numbered_like,
    texts_in,
)
from omni.readers.media_cells import LONGEST_NAME, MediaCell, find_file_column, media_cells
from omni.readers.modality_of_file import is_media
from omni.readers.table_cells import QuoteError, read_cells
from omni.samples.messages import SampleError

# Tables that a folder may hold, in any case. Hugging Face's imagefolder has those named metadata.
TABLE_NAMES = tuple(f"{stem}{suffix}" for stem in ("captions", "metadata") for suffix in (".csv", ".tsv", ".jsonl"))
# Names that tables of captions (Flickr8k's is captions.txt) share with other files; the latter have other columns.
TABLE_NAMES_BY_COLUMNS = ("captions.txt", "labels.csv", "labels.tsv")
# Text files next to a file, as WebDataset's members: fox.txt or fox.png.txt for fox.png. The first that exists counts.
SIDECAR_EXTENSIONS = (".txt", ".caption", ".text", ".cap")
SEPARATORS = (",", "\t", ";", "|")
# Tables with these are written with quotation marks (by pandas, spreadsheets) and without (the IANA's TSV, Flickr30k).
_SEPARATORS_WITHOUT_QUOTES = ("\t", "|")

# Names that cameras and recorders give, which describe nothing.
_DEVICE_WORDS = {
    *("img", "image", "dsc", "dscn", "dscf", "pxl", "photo", "picture", "vid", "mvi", "rec", "mov", "screenshot"),
}
# IMG2041, n01440764, P1010023, and hashes: numbers with a few letters, which count and do not describe.
_NUMBERED = re.compile(r"[a-z]{0,4}\d{4,}|(?=[a-f]*\d)[0-9a-f]{8,}", re.IGNORECASE)


@dataclass(frozen=True)
class CaptionRow:
    """One line of a table of captions; `place` names it in errors, as in `captions.csv:3`."""

    place: str
    file: str  # by which the row is known
    media: tuple[MediaCell, ...]  # at least one, in the order of the columns
    captions: tuple[str, ...]  # at least one unless there is a problem; the first is the answer
    question: str | None = None
    problem: str | None = None  # why the row cannot be used, though it names its media


@dataclass(frozen=True)
class TableFormat:
    """How a table of captions is read: its columns and their separator, each None where the table itself shows it."""

    file: str | None = None
    caption: str | None = None
    question: str | None = None
    separator: str | None = None

    def __post_init__(self) -> None:
        if self.separator is not None and len(self.separator) != 1:
            raise ValueError(f"the separator of a table's columns must be one character, got {self.separator!r}")


def caption_from_name(stem: str) -> str | None:
    """Return the words of a file name: `red_fox-01` -> `red fox`; None if it has none (`IMG_2041`, `0017`).

    Underscores, hyphens and spaces separate words; numbers of their own at the end, `(1)` and `copy`, and a zero-padded
    number at the beginning only count the files. Accents become one letter each (NFC), whichever system named the file.
    """
    words = [word for word in re.split(r"[\s_\-]+", unicodedata.normalize("NFC", stem)) if word]
    while words and re.fullmatch(r"\(?\d+\)?|\(?copy\)?", words[-1], re.IGNORECASE):
        words.pop()
    while words and re.fullmatch(r"0\d+", words[0]):
        words.pop(0)
    if not words or all(word.lower() in _DEVICE_WORDS or word.isdigit() or _NUMBERED.fullmatch(word) for word in words):
        return None
    return " ".join(words)


def caption_from_sidecar(text_file: Path, sample_id: str) -> str:
    """Return the first line with text of a caption file. Raises SampleError if there is none."""
    try:
        text = text_file.read_text(encoding="utf-8-sig")  # which makes \n of all ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise SampleError(sample_id, f"the caption file {text_file} cannot be read as UTF-8 text ({error})") from error
    caption = next((line.strip() for line in text.split("\n") if line.strip()), None)
    if caption is None:
        raise SampleError(sample_id, f"the caption file {text_file} is empty; write the caption into it")
    return caption


def read_table(
    path: Path, format: TableFormat | None = None, base: Path | None = None
) -> Iterator[CaptionRow | SampleError]:
    """Read the rows of a table (`.jsonl`, or text with separators); an incomplete row becomes a SampleError.

    Args:
        path: the table, in UTF-8.
        format: its columns and their separator.
        base: the folder of its files, by which a row within quotation marks is recognized; default: the table's.

    Raises:
        ValueError: the table has no column of files or none of captions, is damaged, or is not UTF-8 text.
    """
    format = format or TableFormat()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        yield from _json_rows(path, text, format)
        return
    separator = format.separator or _separator(path, text)
    base = base or path.parent
    try:
        rows = _text_rows(path, text, format, separator, base, has_quotes=True)
    except QuoteError as error:
        if separator not in _SEPARATORS_WITHOUT_QUOTES:
            raise ValueError(f"{path}, {error}") from error
        rows = _text_rows(path, text, format, separator, base, has_quotes=False)
    yield from rows


def is_table(path: Path) -> bool:
    """Return whether the first line of a text file names a column of files and one of captions."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    cells = next(csv.reader([header], delimiter=_separator(path, header), skipinitialspace=True), [])
    names = [name.strip().lower() for name in cells]
    return len(names) > 1 and _find(names, TableFormat()) is not None


def _text_rows(
    path: Path, text: str, format: TableFormat, separator: str, base: Path, *, has_quotes: bool
) -> list[CaptionRow | SampleError]:
    _, header = next(read_cells(text, separator, has_quotes=has_quotes), (1, [""]))
    columns = _Columns(header, format, path)
    rows = read_cells(text, separator, has_quotes=has_quotes, is_row=lambda cells: columns.name_file(cells, base))
    next(rows, None)
    return [columns.row(f"{path.name}:{line}", cells) for line, cells in rows if any(cell.strip() for cell in cells)]


class _Columns:
    """The places of a table's columns, from its first line."""

    def __init__(self, header: Sequence[str], format: TableFormat, path: Path) -> None:
        self.names = [name.strip().lower() for name in header]
        found = _find(self.names, format)
        if found is None:
            raise ValueError(
                f"{path} needs a first line that names its columns: one of {', '.join(FILE_COLUMNS)} for the file, and "
                f"one of {', '.join(CAPTION_COLUMNS)} for the caption; it has "
                f"{', '.join(filter(None, self.names)) or 'none'}. Or name them "
                "with the options `file` and `caption`, and the character between them with `separator`"
            )
        file, texts = found
        assert texts.answer is not None
        self.file = self.names.index(file)
        others = numbered_like(texts.answer, self.names) if format.caption is None else []
        self.captions = [i for name in (texts.answer, *others) for i, own in enumerate(self.names) if own == name]
        self.file_column, self.is_only_file = file, format.file is not None
        self.question = None if texts.question is None else self.names.index(texts.question)

    def name_file(self, cells: Sequence[str], base: Path) -> bool:
        """Return whether the cells of a line have, where rows name their file, a file's name."""
        name = cells[self.file].strip() if max(self.file, 1) < len(cells) else ""
        return is_media(os.path.splitext(name)[1].lower(), None) or (name != "" and os.path.isfile(base / name))

    def row(self, place: str, cells: Sequence[str]) -> CaptionRow | SampleError:
        cell = dict(enumerate(cells))
        captions = [cell.get(index) for index in self.captions]
        texts = {*self.captions, self.question}
        files = [(name, cell.get(i)) for i, name in enumerate(self.names) if i not in texts]
        question = None if self.question is None else cell.get(self.question)
        row = _row(place, self.file_column, files, captions, question, is_only=self.is_only_file)
        if not any(cell.strip() for cell in cells[len(self.names) :]):
            return row
        problem = (
            f"the row has {len(cells)} cells where the first line names {len(self.names)}; put a caption that "
            "holds the separator into quotation marks"
        )
        return replace(row, problem=problem) if isinstance(row, CaptionRow) else SampleError(place, problem)


def _find(names: Sequence[str], format: TableFormat) -> tuple[str, TextColumns] | None:
    """Return the column of files and those of texts, or None where one is missing. Names are compared in lower case."""
    wanted = {key: None if name is None else name.strip().lower() for key, name in vars(format).items()}
    if any(wanted[key] and wanted[key] not in names for key in ("file", "caption", "question")):
        return None
    file = wanted["file"] or find_file_column(names)
    texts = find_text_columns(names, {file} if file else set(), wanted["caption"], wanted["question"])
    return None if file is None or texts.answer is None else (file, texts)


def _separator(path: Path, text: str) -> str:
    """Return the separator of the columns: the one by which the first line names a file and a caption.

    Spreadsheets write semicolons where the comma is the decimal mark, and tables with tabs are called .csv too.
    """
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    fitting = [mark for mark in SEPARATORS if _find([n.strip(' "').lower() for n in header.split(mark)], TableFormat())]
    return (fitting or [max(SEPARATORS, key=header.count)])[0]


def _json_rows(path: Path, text: str, format: TableFormat) -> Iterator[CaptionRow | SampleError]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield SampleError(place, f"the line is not valid JSON ({error}); correct or remove it")
            continue
        if not isinstance(row, dict):
            yield SampleError(place, "the line must be an object with a file and a caption")
            continue
        yield _json_row(place, row, format)


def _json_row(place: str, row: Mapping[str, Any], format: TableFormat) -> CaptionRow | SampleError:
    cells = {key.strip().lower(): value for key, value in row.items() if value is not None}
    found = _find([*cells], format)
    if found is None:
        names_file = format.file in row if format.file else find_file_column([*cells]) is not None
        has = f"it has {', '.join(row)}"
        return SampleError(place, f"the row has no caption; {has}" if names_file else f"the row names no file; {has}")
    file, texts = found
    answer = texts.answer or ""
    others = numbered_like(answer, [*cells]) if format.caption is None else []
    captions = [text for name in (answer, *others) for text in texts_in(cells[name])]
    files = [(name, value) for name, value in cells.items() if name not in {answer, *others, texts.question}]
    question = None if texts.question is None else cells[texts.question]
    return _row(place, file, files, captions, question, is_only=format.file is not None)


def _row(
    place: str, column: str, cells: Sequence[tuple[str, Any]], captions: Sequence[Any], question: Any, *, is_only: bool
) -> CaptionRow | SampleError:
    """Return a row of its texts and of the media in its other cells, of which `column` has the first one's name."""
    try:
        media = media_cells(column, cells, is_only=is_only)
    except ValueError as error:
        return SampleError(place, str(error))
    if not media:
        return SampleError(place, "the row names no file")
    file = next((cell for cell in media if cell.column == column), media[0]).value
    texts = tuple(caption.strip() for caption in captions if isinstance(caption, str) and caption.strip())
    name = file if len(file) < LONGEST_NAME else "the row"  # a picture in base64 is no name
    problem = None if texts else f"the caption of {name} is empty; fill it in or remove the row"
    asked = question.strip() if isinstance(question, str) and question.strip() else None
    return CaptionRow(place, file, tuple(media), texts, asked, problem)
