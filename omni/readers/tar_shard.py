"""One tar shard of the WebDataset format, read sample by sample from a file or from the output of a command.

A sample is a run of members whose names differ only in their extension, which begins at the first dot of the file
name (Aizman, Maltby and Breuel 2019, "High performance I/O for large scale deep learning").

The `webdataset` package reads the same format, but it has no position to resume from, evens out processes by dropping
or repeating samples, and its order depends on the number of workers. Training here must do none of that, and
the rest, reading tar, is in Python's standard library. That library's own loop over members is not used, since
it takes a damaged header for the end of the archive, which would lose the rest without a word.
"""

import os
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, cast

from omni.readers.shard_names import PIPE_SCHEME, is_command

_MOST_BYTES = 2 << 30  # of a member: a small compressed archive, or one with holes, can claim what fills the memory
_STDERR_SHOWN = 500  # characters of what a failed command said
_DRAIN = 1 << 20


class ShardError(Exception):
    """A shard cannot be read, or not to its end; the samples that came before are good."""

    def __init__(self, shard: str, reason: str) -> None:
        super().__init__(shard, reason)
        self.shard = shard
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.shard}: {self.reason}"


@dataclass(frozen=True)
class RawSample:
    """The files of one sample."""

    key: str  # the part that their names share
    members: dict[str, bytes]  # extension without the first dot, in lower case -> content, in the order of the archive
    problem: str | None = None  # why the sample cannot be used, though the archive goes on behind it


def read_samples(shard: str, start: int = 0) -> Iterator[RawSample]:
    """Yield the samples of a shard from number `start` on, without reading earlier ones if the shard can be seeked.

    Raises:
        ShardError: the archive is damaged or cut off, or the command failed, after the samples that are whole.
    """
    with _open(shard) as archive:
        index, sample = -1, None
        for info, key, extension, is_first in _files(archive):
            if is_first:
                if sample is not None:
                    yield sample
                index += 1
                sample = RawSample(key, {}) if index >= start else None
            if sample is not None:
                problem = _why_not_read(info)
                if problem is None:
                    sample.members[extension] = _content(archive, info)
                else:
                    sample = replace(sample, problem=problem)
        if sample is not None:
            yield sample


def count_samples(shard: str) -> int:
    """Count the samples of a shard.

    If it cannot be read to its end, the failure itself counts as one more: it takes the place of a sample, so that
    training meets and reports it.
    """
    begun = 0
    try:
        with _open(shard) as archive:
            for _, _, _, is_first in _files(archive):
                begun += is_first
    except ShardError:
        return max(begun, 1)  # the last one begun may not be whole, and its place is taken by the failure
    return begun


@contextmanager
def _open(shard: str) -> Iterator[tarfile.TarFile]:
    """Open the archive, as a stream if it is a command's output or compressed; every failure leaves as ShardError."""
    try:
        if is_command(shard):
            with _output_of(shard) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
                yield archive
        else:
            with tarfile.open(shard, "r:" if shard.lower().endswith(".tar") else "r|*") as archive:
                yield archive
    except ShardError:
        raise
    except Exception as error:  # of tarfile, zlib and lzma, MemoryError of a claimed size, ...
        raise ShardError(shard, f"cannot be read further ({error or type(error).__name__})") from error


@contextmanager
def _output_of(shard: str) -> Iterator[IO[bytes]]:
    """Open the output of a shell command, stop the command when no more is wanted, and raise ShardError if it fails."""
    command = shard.removeprefix(PIPE_SCHEME).strip()
    owner = os.getpid()
    with tempfile.TemporaryFile() as errors:
        # In a session of its own, so that all commands of a shell pipeline can be ended together.
        process = subprocess.Popen(
            command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        output = cast(IO[bytes], process.stdout)
        try:
            problem: BaseException | None = None
            try:
                yield output
            except Exception as error:  # see _open
                problem = error
            while output.read(_DRAIN):  # after the end of the archive; else the command would die of a closed pipe
                pass
            status = process.wait()
            if status != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-_STDERR_SHOWN:] or "nothing"
                raise ShardError(shard, f"the command ended with status {status} and said: {said}")
            if problem is not None:
                raise problem
        finally:
            if os.getpid() == owner and process.poll() is None:  # not in a forked copy of this reader
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.close()


def _files(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str, str, bool]]:
    """Yield header, key and extension of every member of a sample, and whether a new sample begins with it."""
    previous, seen = None, set()
    for info in _headers(archive):
        folder, slash, name = info.name.rpartition("/")
        stem, dot, extension = name.partition(".")
        # macOS puts hidden files next to others; a name without a dot has no extension to go by.
        if not (info.isreg() and stem and dot):
            continue
        key, extension = folder + slash + stem, extension.lower()
        is_first = key != previous or extension in seen  # two samples of one name may follow each other
        previous, seen = key, {extension} if is_first else seen | {extension}
        yield info, key, extension, is_first


def _headers(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    info = archive.next()  # the first one, which `tarfile.open` has read already
    file = archive.fileobj
    assert file is not None
    while info is not None:
        yield info
        if info.size < 0 or archive.offset <= info.offset:  # else the same members would come for ever
            raise tarfile.ReadError(f"the header of {info.name} is damaged: it claims {info.size} bytes")
        cast(Any, archive).members = []  # or it would keep the header of every member
        if file.tell() != archive.offset:
            file.seek(archive.offset - 1)
            if not file.read(1):
                raise tarfile.ReadError("it is cut off")
        try:
            info = archive.tarinfo.fromtarfile(archive)
        except tarfile.HeaderError as error:
            kind = type(error).__name__  # a subclass for each cause; only their common base is documented
            if kind == "EOFHeaderError":  # the empty blocks of the end
                return
            if kind == "EmptyHeaderError":
                raise tarfile.ReadError("it ends without an end mark, so it was probably cut off") from error
            raise tarfile.ReadError(f"the header of a file is damaged: {error}") from error


def _why_not_read(info: tarfile.TarInfo) -> str | None:
    """Return why the content of a member is not read, or None."""
    if info.issparse():
        return f"its member {info.name} is stored with holes (sparse), which are not read; pack it without --sparse"
    if info.size > _MOST_BYTES:
        return f"its member {info.name} claims {info.size} bytes; at most {_MOST_BYTES} are read"
    return None


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None
    pieces, count = [], 0
    while count < info.size and (piece := file.read(min(_DRAIN, info.size - count))):  # not what a header claims
        pieces.append(piece)
        count += len(piece)
    if count != info.size:
        raise tarfile.ReadError(f"it is cut off within {info.name}")
    return b"".join(pieces)
