"""Builders of tiny assets, named by `module:function` as the catalogue does, for the tests of fetching."""

import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path

from omni.starter.archives import unpack_zip
from omni.starter.catalogue import Asset
from omni.starter.fetching import fetch_asset
from omni.starter.progress import Progress


def fetch_silently(asset: Asset) -> None:
    """What a second process runs."""
    fetch_asset(asset, Progress(visible=False))


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Unpack everything, slowly enough that a second process must wait, and count the builds beside the home."""
    time.sleep(0.3)
    with (Path(os.environ["OMNI_HOME"]) / "builds.log").open("a") as log:
        log.write("built\n")
    unpack_zip(packages["tiny"], folder, lambda inner: inner.name if inner.suffix == ".txt" else None)


def build_and_die(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Write half of the files, then end the process without any cleaning up, as a power failure would."""
    (folder / "half.txt").write_text("half")
    os._exit(9)


def build_on_full_disk(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """What the operating system raises while a file is written to a full disk."""
    (folder / "half.txt").write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")
