"""SHA-256 checksums of the files of a folder, which `sha256sum --check SHA256SUMS` understands too."""

import hashlib
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from omni.runtime.files import write_atomically

CHECKSUMS = "SHA256SUMS"  # the name that GNU coreutils and most downloads give to such a file
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

logger = logging.getLogger("omni.checksums")


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files below `folder` into it; call it when everything else has been written."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / CHECKSUMS)
    lines = [f"{_digest(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def renew_checksum(folder: Path, name: str) -> None:
    """Note the checksum of a file that was changed on purpose; those of other files stay as they are."""
    if not has_checksums(folder):
        return
    listed = {**_read(folder), name: _digest(folder / name)}
    write_atomically(folder / CHECKSUMS, "".join(f"{digest}  {file}\n" for file, digest in sorted(listed.items())))


def has_checksums(folder: Path) -> bool:
    """Return whether a folder has checksums; folders of earlier versions have none."""
    return (folder / CHECKSUMS).is_file()


def listed_files(folder: Path) -> set[str]:
    """Return the files that the checksums of a folder list, relative to it; none where it has no checksums.

    Raises:
        ValueError: the checksums are damaged.
    """
    return {*_read(folder)} if has_checksums(folder) else set()


def damaged_files(folder: Path, required: Collection[str] = ()) -> list[str]:
    """Return what is wrong with the files of a folder that has checksums: a text for each, none if all is well.

    Files that are not listed (an evaluation that was put there later, for example) are not looked at.

    required: names, relative to the folder, that must be listed.
    """
    try:
        listed = _read(folder)
    except ValueError as error:
        return [str(error)]
    missing = [f"{CHECKSUMS} does not list {name}" for name in sorted(set(required) - listed.keys())]
    return missing + [problem for name, digest in listed.items() if (problem := _problem(folder, name, digest))]


def check_files(folder: Path, *names: str) -> None:
    """Check files of a folder, and all files of subfolders, by name; a folder without checksums passes.

    Raises:
        ValueError: a file is damaged.
    """
    if not has_checksums(folder):
        return
    found = [
        problem
        for name, digest in _read(folder).items()
        if name.partition("/")[0] in names and (problem := _problem(folder, name, digest))
    ]
    if found:
        raise ValueError(
            f"{folder} is damaged: {'; '.join(found)}. Copy the folder again from where it is whole. If you changed "
            f"the file yourself, remove {folder / CHECKSUMS}"
        )


def warn_if_changed(folder: Path, name: str) -> None:
    """Log a warning if a file that people may edit is not as it was written."""
    if not has_checksums(folder):
        return
    digest = _read(folder).get(name)
    if digest is not None and _problem(folder, name, digest):
        logger.warning("%s is not as it was written: it was edited, or is damaged", folder / name)


def _read(folder: Path) -> Mapping[str, str]:
    """Return the file's lines as name -> digest. Raises ValueError if it is damaged."""
    file = folder / CHECKSUMS
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is damaged: it is no text") from None
    *lines, end = text.split("\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    if end or not matches or any(match is None for match in matches):
        raise ValueError(f"{file} is damaged: a line is not a SHA-256 and the name of a file")
    return {match[2]: match[1] for match in matches if match is not None}


def _problem(folder: Path, name: str, digest: str) -> str:
    file = folder / name
    try:
        return "" if _digest(file) == digest else f"{name} is not what was written (its SHA-256 is another)"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror or error})"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
