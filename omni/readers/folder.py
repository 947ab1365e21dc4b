"""A user's own folder of files and captions."""

import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from omni.media.item import Media
from omni.readers.caption_table import DIVISIONS, category_of, table_entries
from omni.readers.captions import (
    SIDECAR_EXTENSIONS,
    TABLE_NAMES,
    TABLE_NAMES_BY_COLUMNS,
    TableFormat,
    caption_from_name,
    caption_from_sidecar,
    is_table,
)
from omni.readers.dataset import PreparedDataset, SampleDataset
from omni.readers.jsonl import read_jsonl
from omni.readers.modality_of_file import (
    MODALITY_OF_EXTENSION,
    UNREADABLE_EXTENSIONS,
    Modalities,
    is_media,
    modality_of,
)
from omni.samples.messages import Message, Sample, SampleError, Text

MANIFEST_NAME = "manifest.jsonl"


def read_folder(
    folder: str | Path,
    modality: Modalities = None,
    *,
    file: str | None = None,
    caption: str | None = None,
    question: str | None = None,
    separator: str | None = None,
) -> SampleDataset:
    """Read a folder of files and captions; each pair becomes a sample of one user turn (the file) and one answer.

    The captions come from the first of these sources that exists:

    1. `manifest.jsonl`: samples in the messages form, read as they are;
    2. `captions.csv`, `.tsv` or `.jsonl` (or `metadata.*`, or a `captions.txt` whose first line names columns; without
       these, such a `labels.csv` or `.tsv`): a table with a column of files and one of captions; or such tables in
       subfolders, as imagefolder has them in its splits. Media that no row names are errors in their places;
    3. text files of the same names (`fox.txt`, `fox.caption`, `fox.png.txt` for `fox.png`): once half of the files have
       one, every file needs one;
    4. the files' names: `red_fox-01.png` -> "red fox"; where a name has no words, the folder's: `fox/001.png` -> "fox".

    Tables may be named in any case. Files of media that cannot be read (`.heic`, `.svg`) are errors in their places.

    Subfolders and links to folders are searched; hidden files and folders are skipped. `meta` holds the `caption` and,
    for files in subfolders, the `category` (the first folder that is no split).

    Args:
        folder: the folder.
        modality: the modality of all files that have a known extension ("speech", "thermal"), or extension -> modality;
            default: by extension. Files that may be several (`.npy`) need it.
        file, caption, question, separator: of the tables; see `read_captions`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no media, files whose modality is not known, two tables of captions in one folder, or a
            table without the columns it needs.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"the data folder {folder} does not exist or is not a folder")
    manifest = _only(folder, _files_named(folder, (MANIFEST_NAME,)))
    if manifest is not None:
        return read_jsonl(manifest)
    format = TableFormat(file, caption, question, separator)
    table = _table_in(folder)
    files = list(_visible_files(folder))
    parents = sorted({file.parent for file in files}) if table is None else [folder]
    tables = [found for parent in parents if (found := _table_in(parent)) is not None]
    return _read_tables(folder, files, tables, modality, format) if tables else _read_files(folder, files, modality)


def _table_in(folder: Path) -> Path | None:
    """Return the table of captions in a folder, or None. Raises ValueError if there are several."""
    by_columns = [file for file in _files_named(folder, TABLE_NAMES_BY_COLUMNS) if is_table(file)]
    captions = [file for file in by_columns if file.name.lower().startswith("captions")]
    return _only(folder, [*_files_named(folder, TABLE_NAMES), *captions]) or _only(folder, by_columns)


def _files_named(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the files of these names, which are in lower case, whatever case the files' own names are in."""
    return sorted(file for file in folder.iterdir() if file.name.lower() in names and file.is_file())


def _only(folder: Path, files: Sequence[Path]) -> Path | None:
    """Return the only one of files, or None if there is none, so that the rows of a second one are not lost."""
    if len(files) > 1:
        names = " and ".join(file.name for file in files)
        raise ValueError(
            f"the data folder {folder} holds {names}, of which only one can be read; join them, move the others away, "
            "or give the path of a table in place of the folder's"
        )
    return files[0] if files else None


def _read_tables(
    folder: Path, files: Sequence[Path], tables: Sequence[Path], modality: Modalities, format: TableFormat
) -> SampleDataset:
    """Read tables, each of which covers its own folder; media that no row names are errors."""
    entries: list[Sample | SampleError] = []
    named: set[str] = set()
    for table in tables:
        prefix = "" if table.parent == folder else table.parent.relative_to(folder).as_posix() + "/"
        entries += table_entries(table, modality, format, table.parent, prefix, named)
    unnamed = [file for file in files if _is_medium(file, modality) and str(file) not in named]
    real = {os.path.realpath(path) for path in named} if unnamed else set()  # rows may go by a link
    for file in unnamed:
        path = Path(os.path.realpath(file))
        if real.isdisjoint(map(str, (path, *path.parents))):  # a folder may be a video's frames
            sample_id = _readable(file.relative_to(folder).as_posix())
            entries.append(SampleError(sample_id, _why_not_named(file, folder, tables)))
    return PreparedDataset(entries)


def _is_medium(file: Path, modality: Modalities) -> bool:
    extension = file.suffix.lower()
    return is_media(extension, modality) or extension in UNREADABLE_EXTENSIONS


def _why_not_named(file: Path, folder: Path, tables: Sequence[Path]) -> str:
    names = [table.relative_to(folder).as_posix() for table in tables]
    covering = [name for name, table in zip(names, tables, strict=True) if file.is_relative_to(table.parent)]
    if not covering:
        return f"no table of captions covers the file; there are {', '.join(names[:3])}"
    return f"no row of {covering[-1]} names the file; add one, or give the table's path in place of the folder's"


def _read_files(folder: Path, files: Sequence[Path], modality: Modalities) -> SampleDataset:
    media = [file for file in files if is_media(file.suffix.lower(), modality)]
    if not media:
        found = ", ".join(sorted({file.suffix.lower() or file.name for file in files})[:12]) or "nothing"
        known = " ".join(sorted(MODALITY_OF_EXTENSION))
        raise ValueError(f"the data folder {folder} holds no media: found {found}; known extensions are {known}")
    for file in media:
        try:
            modality_of(file.suffix.lower(), modality)
        except ValueError as error:
            raise ValueError(f"the data folder {folder} holds {file.relative_to(folder)}: {error}") from error
    texts = {_key(file): file for file in files if file.suffix.lower() in SIDECAR_EXTENSIONS}
    sidecars = {file: _sidecar(file, texts) for file in media}
    # If only a few files have a text file next to them, the names of the others are captions.
    has_sidecars = 2 * sum(sidecar is not None for sidecar in sidecars.values()) >= len(media)
    entries: list[Sample | SampleError] = []
    for file in (file for file in files if _is_medium(file, modality)):
        sample_id = file.relative_to(folder).as_posix()
        if file not in sidecars:
            reason = f"files of type {file.suffix.lower()!r} are not read; convert it (to .png, .wav, ...) or remove it"
            entries.append(SampleError(_readable(sample_id), reason))
            continue
        try:
            _check_name(file, sample_id)
            caption = _caption(file, folder, sidecars[file], sample_id, needs_text_file=has_sidecars)
            entries.append(_sample(file, sample_id, caption, modality))
        except SampleError as error:
            entries.append(error)
    return PreparedDataset(entries)


def _key(file: Path) -> str:
    """Return a file's path as it is compared: the systems spell accents in two ways, and extensions in either case."""
    return unicodedata.normalize("NFC", file.with_suffix("").as_posix() + file.suffix.lower())


def _sidecar(file: Path, texts: dict[str, Path]) -> Path | None:
    """Return the text file of a file: fox.txt or fox.png.txt for fox.png."""
    stems = (file.with_suffix("").as_posix(), file.as_posix())
    keys = (unicodedata.normalize("NFC", stem + extension) for extension in SIDECAR_EXTENSIONS for stem in stems)
    return next((texts[key] for key in keys if key in texts), None)


def _readable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _check_name(file: Path, sample_id: str) -> None:
    """Raise SampleError if the name is in another encoding: no manifest can hold it, and no tokenizer read it."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        reason = "the name of the file or of its folder is not UTF-8 text, as in some old archives; rename it"
        raise SampleError(_readable(sample_id), reason) from None


def _caption(file: Path, folder: Path, text_file: Path | None, sample_id: str, *, needs_text_file: bool) -> str:
    if text_file is not None:
        return caption_from_sidecar(text_file, sample_id)
    if needs_text_file:
        raise SampleError(sample_id, f"other files have captions in text files, this one has no {file.stem}.txt")
    caption = caption_from_name(file.stem) or _class_of(file, folder)
    if caption is None:
        raise SampleError(
            sample_id,
            "the file's name has no words for a caption, nor has its folder's; rename it or write captions.csv",
        )
    return caption


def _class_of(file: Path, folder: Path) -> str | None:
    """Return the words of the folder that a file stands in, as imagefolder's classes have them."""
    parents = file.relative_to(folder).parts[:-1]
    named = next((name for name in reversed(parents) if name.lower() not in DIVISIONS), None)
    return None if named is None else caption_from_name(named)


def _sample(file: Path, sample_id: str, caption: str, modality: Modalities) -> Sample:
    media = Media(modality_of(file.suffix.lower(), modality), path=str(file))
    meta = {"caption": caption, **category_of(sample_id)}
    return Sample(sample_id, (Message("user", (media,)), Message("assistant", (Text(caption),))), meta)


def _visible_files(folder: Path) -> Iterator[Path]:
    """Yield all files below `folder` by name, without hidden ones and those that macOS puts into archives.

    Links to folders are followed, except links that lead back.
    """
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name != "__MACOSX" and not _leads_back(os.path.join(parent, name))
        )
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _leads_back(folder: str) -> bool:
    """Return whether a folder is a link to one that contains it, so that following it would never end."""
    return os.path.islink(folder) and Path(folder).absolute().parent.resolve().is_relative_to(os.path.realpath(folder))
