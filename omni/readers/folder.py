"""A user's own folder of files and captions."""

import os
from collections.abc import Iterator
from pathlib import Path

from omni.media.frames import VIDEO_EXTENSIONS
from omni.media.image import IMAGE_EXTENSIONS
from omni.media.mesh import MESH_EXTENSIONS
from omni.media.sound import SOUND_EXTENSIONS
from omni.readers.captions import TABLE_NAMES, CaptionRow, caption_from_name, caption_from_sidecar, read_table
from omni.readers.dataset import PreparedDataset, SampleDataset
from omni.readers.jsonl import read_jsonl
from omni.samples.messages import Media, Message, Sample, SampleError, Text

MANIFEST_NAME = "manifest.jsonl"
# The later entry wins: .webm is a video here.
MODALITY_OF_EXTENSION = {
    **dict.fromkeys(IMAGE_EXTENSIONS, "image"),
    **dict.fromkeys(SOUND_EXTENSIONS, "sound"),
    **dict.fromkeys(MESH_EXTENSIONS, "point_cloud"),
    **dict.fromkeys(VIDEO_EXTENSIONS, "video"),
}


def read_folder(folder: str | Path, modality: str | None = None) -> SampleDataset:
    """Read a folder of files and captions; each pair becomes a sample of one user turn (the file) and one answer.

    The captions come from the first of these sources that exists:

    1. `manifest.jsonl`: samples in the messages form, read as they are;
    2. `captions.csv`, `.tsv` or `.jsonl` (or `metadata.*`): a table with a column of files and one of captions;
    3. text files of the same names (`fox.png`, `fox.txt`): once half of the files have one, every file needs one;
    4. the files' names: `red_fox-01.png` -> "red fox".

    Subfolders and links to folders are searched; hidden files and folders are skipped. `meta` holds the `caption` and,
    for files in subfolders, the `category` (the first folder).

    Args:
        folder: the folder.
        modality: the modality of all files that have a known extension ("speech", "thermal"); default: by extension.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no media, or a table without the columns it needs.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"the data folder {folder} does not exist or is not a folder")
    if (folder / MANIFEST_NAME).is_file():
        return read_jsonl(folder / MANIFEST_NAME)
    table = next((folder / name for name in TABLE_NAMES if (folder / name).is_file()), None)
    return read_captions(table, modality) if table is not None else _read_files(folder, modality)


def read_captions(table: str | Path, modality: str | None = None) -> SampleDataset:
    """Read a table of captions (`.csv`, `.tsv`, `.jsonl`) that names files relative to its folder; see `read_folder`.

    Raises:
        FileNotFoundError, ValueError: there is no such table, or it lacks a column.
    """
    table = Path(table).absolute()
    if not table.is_file():
        raise FileNotFoundError(f"the table of captions {table} does not exist")
    entries: list[Sample | SampleError] = []
    seen: dict[str, int] = {}
    for row in read_table(table):
        if isinstance(row, CaptionRow):
            seen[row.file] = seen.get(row.file, 0) + 1
            sample_id = row.file if seen[row.file] == 1 else f"{row.file}#{seen[row.file]}"
            entries.append(_sample(table.parent / row.file, table.parent, sample_id, row.caption, modality))
        else:
            entries.append(row)
    if not entries:
        raise ValueError(f"{table} has no rows")
    return PreparedDataset(entries)


def _read_files(folder: Path, modality: str | None) -> SampleDataset:
    files = list(_visible_files(folder))
    media = [file for file in files if file.suffix.lower() in MODALITY_OF_EXTENSION]
    if not media:
        found = ", ".join(sorted({file.suffix.lower() or file.name for file in files})[:12]) or "nothing"
        known = " ".join(sorted(MODALITY_OF_EXTENSION))
        raise ValueError(f"the data folder {folder} holds no media: found {found}; known extensions are {known}")
    texts = {file.with_suffix("").as_posix(): file for file in files if file.suffix.lower() == ".txt"}
    # If only a few files have a text file next to them, the names of the others are captions.
    has_sidecars = 2 * sum(file.with_suffix("").as_posix() in texts for file in media) >= len(media)
    entries: list[Sample | SampleError] = []
    for file in media:
        sample_id = file.relative_to(folder).as_posix()
        try:
            _check_name(file, sample_id)
            caption = _caption(file, texts, sample_id, needs_text_file=has_sidecars)
            entries.append(_sample(file, folder, sample_id, caption, modality))
        except SampleError as error:
            entries.append(error)
    return PreparedDataset(entries)


def _check_name(file: Path, sample_id: str) -> None:
    """Raise SampleError if the name is in another encoding: no manifest can hold it, and no tokenizer read it."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        readable = sample_id.encode(errors="replace").decode()
        reason = "the name of the file or of its folder is not UTF-8 text, as in some old archives; rename it"
        raise SampleError(readable, reason) from None


def _caption(file: Path, texts: dict[str, Path], sample_id: str, *, needs_text_file: bool) -> str:
    text_file = texts.get(file.with_suffix("").as_posix())
    if text_file is not None:
        return caption_from_sidecar(text_file, sample_id)
    if needs_text_file:
        raise SampleError(sample_id, f"other files have captions in text files, this one has no {file.stem}.txt")
    caption = caption_from_name(file.stem)
    if caption is None:
        raise SampleError(sample_id, "the file's name has no words for a caption; rename it or write captions.csv")
    return caption


def _sample(file: Path, folder: Path, sample_id: str, caption: str, modality: str | None) -> Sample | SampleError:
    by_extension = MODALITY_OF_EXTENSION.get(file.suffix.lower())
    if modality is None and by_extension is None:
        return SampleError(sample_id, f"no modality is known for files of type {file.suffix!r}; give it as `modality`")
    media = Media(modality or by_extension or "", path=os.path.abspath(file))
    meta = {"caption": caption}
    if "/" in sample_id:
        meta["category"] = sample_id.split("/")[0]
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
