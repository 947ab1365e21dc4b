"""Assets, built in four steps: download, verify, convert in a temporary folder next to the final one, and move it."""

import errno
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from omni.starter.catalogue import ASSETS, Asset, expand, find
from omni.starter.downloads import discard, obtain
from omni.starter.locations import STAMP_FILE, folder_of, home, is_current, stamp_of
from omni.starter.progress import Progress


class Builder(Protocol):
    """Fills `folder` from the downloaded packages (name -> file)."""

    def __call__(self, packages: Mapping[str, Path], folder: Path, progress: Progress) -> None: ...


def fetch(names: Sequence[str] | None = None, progress: bool = True) -> dict[str, Path]:
    """Fetch starter assets, or groups of them (`quickstart`, `weights`, `data`); None means all.

    Assets that are there stay. Returns name -> folder. Raises ValueError on an unknown name, before anything
    is fetched; FetchError when a download fails; OSError when the disk is full.
    """
    wanted = list(ASSETS) if names is None else expand(list(names))
    output = Progress(progress)
    return {name: fetch_asset(find(name), output) for name in wanted}


def fetch_asset(asset: Asset, progress: Progress) -> Path:
    """Make sure that one asset is there and return its folder. One of several processes builds; the others wait."""
    folder = folder_of(asset)
    if is_current(asset):
        progress.say(f"{asset.name}: already there ({asset.licence})")
        return folder
    with _lock(asset, progress):
        if is_current(asset):  # another process was faster
            return folder
        progress.say(f"{asset.name}: {asset.title}")
        progress.say(f"  licence {asset.licence}; {asset.source}")
        _remove_leftovers(asset)
        with _explained_when_disk_is_full(asset):
            _check_free_space(asset)
            _build_in_place(asset, progress)
        for package in asset.packages:
            discard(package)
    return folder


def _build_in_place(asset: Asset, progress: Progress) -> None:
    packages = {package.name: obtain(package, progress) for package in asset.packages}
    module, _, function = asset.build.partition(":")
    builder: Builder = getattr(importlib.import_module(module), function)
    folder = folder_of(asset)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{asset.name}.building-", dir=folder.parent))
    try:
        builder(packages, work, progress)
        _write_notice(asset, work)
        (work / STAMP_FILE).write_text(json.dumps(stamp_of(asset), indent=2) + "\n", "utf-8")
        work.chmod(0o755)  # mkdtemp makes it private
        os.sync()  # so that a crash after the rename leaves no empty files; 15,000 one by one would take half a minute
        if folder.exists():  # an older revision, or half deleted by hand
            os.rename(folder, work.with_name(work.name.replace("building", "replaced")))
        os.rename(work, folder)
    finally:
        _remove_leftovers(asset)


def _remove_leftovers(asset: Asset) -> None:
    """Delete the remains of an interrupted build. Only the holder of the asset's lock may call this."""
    for leftover in folder_of(asset).parent.glob(f".{asset.name}.*-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _lock(asset: Asset, progress: Progress) -> Iterator[None]:
    """Hold the lock of an asset while it is built; the operating system frees it when a process dies."""
    file = home() / "locks" / f"{asset.name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say(f"{asset.name}: another process is fetching it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _space_needed(asset: Asset) -> int:
    """Return the bytes for the download, an unpacked intermediate of about its size, and the result."""
    return 2 * asset.download_size + asset.unpacked_size


def _check_free_space(asset: Asset) -> None:
    free = shutil.disk_usage(home()).free
    if free < _space_needed(asset):
        raise OSError(errno.ENOSPC, f"only {free / 1e6:,.0f} MB are free")


@contextmanager
def _explained_when_disk_is_full(asset: Asset) -> Iterator[None]:
    """Turn "no space left", from wherever it comes, into an error that says how much space is needed and where."""
    try:
        yield
    except Exception as error:  # safetensors and the package clients report it in words only
        full = "No space left on device"
        if not (isinstance(error, OSError) and error.errno == errno.ENOSPC) and full not in str(error):
            raise
        needed = f"{asset.name} needs {_space_needed(asset) / 1e6:,.0f} MB while it is built"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else full
        raise OSError(
            errno.ENOSPC,
            f"the disk of {home()} is full ({reason}): {needed}. "
            "Free some space, or set OMNI_HOME to a folder on a larger disk.",
        ) from error


def _write_notice(asset: Asset, folder: Path) -> None:
    lines = [asset.title, f"Licence: {asset.licence}", f"Source: {asset.source}", "Obtained from:"]
    for package in asset.packages:
        lines.append(f"  {package.registry} {package.name} {package.version}, sha256 {package.sha256}")
    lines.append("Converted by omni (python -m omni fetch); the packages' own licence texts are in licences/.")
    (folder / "NOTICE").write_text("\n".join(lines) + "\n", "utf-8")
