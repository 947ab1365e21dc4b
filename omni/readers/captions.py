"""Captions of files: from a table of captions, from a text file next to the file, or from its own name."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omni.samples.messages import SampleError

# Tables that a folder may hold; the first one found is used. Hugging Face's imagefolder has those named metadata.
TABLE_NAMES = tuple(f"{stem}{suffix}" for stem in ("captions", "metadata") for suffix in (".csv", ".tsv", ".jsonl"))
FILE_COLUMNS = ("file_name", "file", "path", "filename", "image", "sound", "audio")
CAPTION_COLUMNS = ("caption", "text", "transcript", "sentence", "description", "label")

# Names that cameras and recorders give, which describe nothing.
_DEVICE_WORDS = {
    "img",
    "image",
    "dsc",
    "dscn",
    "dscf",
    "pxl",
    "photo",
    "picture",
    "vid",
    "mvi",
    "rec",
    "mov",
    "screenshot",
}


@dataclass(frozen=True)
class CaptionRow:
    """One line of a table of captions; `place` names it in errors, as in `captions.csv:3`."""

    place: str
    file: str
    caption: str


def caption_from_name(stem: str) -> str | None:
    """Return the words of a file name: `red_fox-01` -> `red fox`; None if it has none (`IMG_2041`, `0017`).

    Underscores, hyphens and spaces separate words; numbers of their own at the end, `(1)` and `copy`, and a zero-padded
    number at the beginning only count the files.
    """
    words = [word for word in re.split(r"[\s_\-]+", stem) if word]
    while words and re.fullmatch(r"\(?\d+\)?|\(?copy\)?", words[-1], re.IGNORECASE):
        words.pop()
    while words and re.fullmatch(r"0\d+", words[0]):
        words.pop(0)
    if not words or all(word.lower() in _DEVICE_WORDS or word.isdigit() for word in words):
        return None
    return " ".join(words)


def caption_from_sidecar(text_file: Path, sample_id: str) -> str:
    """Return the first line with text of a caption file. Raises SampleError if there is none."""
    try:
        lines = [line.strip() for line in text_file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SampleError(sample_id, f"the caption file {text_file} cannot be read as UTF-8 text ({error})") from error
    caption = next((line for line in lines if line), None)
    if caption is None:
        raise SampleError(sample_id, f"the caption file {text_file} is empty; write the caption into it")
    return caption


def read_table(path: Path) -> Iterator[CaptionRow | SampleError]:
    """Read the rows of `captions.csv`, `.tsv` or `.jsonl`; an incomplete row becomes a SampleError.

    Raises:
        ValueError: the table has no column of files or none of captions, or is not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
    if path.suffix.lower() == ".jsonl":
        yield from _json_rows(path, text)
        return
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _comma_or_semicolon(text)
    # TSV has no quoting: a quotation mark there is a part of the caption.
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, quoting=quoting)
    names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    file_column = next((names[name] for name in FILE_COLUMNS if name in names), None)
    caption_column = next((names[name] for name in CAPTION_COLUMNS if name in names), None)
    if file_column is None or caption_column is None:
        raise ValueError(
            f"{path} needs a first line that names its columns: one of {', '.join(FILE_COLUMNS)} for the file, "
            f"and one of {', '.join(CAPTION_COLUMNS)} for the caption; it has {', '.join(names) or 'none'}"
        )
    for row in reader:
        yield _row(f"{path.name}:{reader.line_num}", row.get(file_column), row.get(caption_column))


def _comma_or_semicolon(text: str) -> str:
    """Return the separator of the columns: spreadsheets write semicolons where the comma is the decimal mark."""
    header = text.partition("\n")[0]
    return ";" if header.count(";") > header.count(",") else ","


def _json_rows(path: Path, text: str) -> Iterator[CaptionRow | SampleError]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            yield SampleError(place, f"the line is not valid JSON ({error}); correct or remove it")
            continue
        if not isinstance(row, dict):
            yield SampleError(place, "the line must be an object with a file and a caption")
            continue
        file = next((row[name] for name in FILE_COLUMNS if name in row), None)
        yield _row(place, file, next((row[name] for name in CAPTION_COLUMNS if name in row), None))


def _row(place: str, file: object, caption: object) -> CaptionRow | SampleError:
    if not isinstance(file, str) or not file.strip():
        return SampleError(place, "the row names no file")
    if not isinstance(caption, str) or not caption.strip():
        return SampleError(place, f"the caption of {file.strip()} is empty; fill it in or remove the row")
    return CaptionRow(place, file.strip(), caption.strip())
