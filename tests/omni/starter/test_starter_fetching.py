"""Fetching: verified, atomic, resumable, safe for two processes, clear when something is wrong; without network."""

import dataclasses
import hashlib
import io
import multiprocessing
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from omni import starter
from omni.starter.archives import unpack_deb
from omni.starter.catalogue import ASSETS, Asset, Package, expand
from omni.starter.downloads import obtain
from omni.starter.errors import FetchError
from omni.starter.fetching import fetch_asset
from omni.starter.locations import folder_of, is_current
from omni.starter.progress import Progress
from tests.omni.starter.starter_builders import fetch_silently

SILENT = Progress(visible=False)
BUILDERS = "tests.omni.starter.starter_builders"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty OMNI_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("OMNI_HOME", str(folder))
    monkeypatch.delenv("OMNI_DOWNLOADS", raising=False)
    return folder


@pytest.fixture
def asset(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asset:
    """An asset of one small wheel-like file, offered in OMNI_DOWNLOADS."""
    offered = tmp_path / "offered"
    offered.mkdir()
    file = offered / "tiny-1.0.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny/hello.txt", "hello")
        archive.writestr("tiny-1.0.dist-info/LICENSE", "the licence text")
    monkeypatch.setenv("OMNI_DOWNLOADS", str(offered))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    package = Package("pypi", "tiny", "1.0", file.name, digest, file.stat().st_size)
    return Asset("tiny", "data", "A tiny asset", "CC0-1.0", "a test", (package,), 10, f"{BUILDERS}:build")


def test_fetched_asset_is_complete_and_keeps_its_licence(asset: Asset) -> None:
    folder = fetch_asset(asset, SILENT)
    assert (folder / "hello.txt").read_text() == "hello"
    assert (folder / "licences" / "tiny-license.txt").read_text() == "the licence text"
    assert "CC0-1.0" in (folder / "NOTICE").read_text()
    assert asset.packages[0].sha256 in (folder / "NOTICE").read_text()


def test_second_fetch_builds_nothing(asset: Asset, home: Path) -> None:
    fetch_asset(asset, SILENT)
    fetch_asset(asset, SILENT)
    assert (home / "builds.log").read_text().count("built") == 1


def test_asset_of_an_older_revision_is_replaced_whole(asset: Asset, home: Path) -> None:
    folder = fetch_asset(asset, SILENT)
    (folder / "stale.txt").write_text("of the old revision")
    newer = dataclasses.replace(asset, revision=2)
    assert not is_current(newer)
    fetch_asset(newer, SILENT)
    assert is_current(newer)
    assert not (folder / "stale.txt").exists()
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["tiny"]


def test_wrong_checksum_names_the_file_and_both_sums(asset: Asset) -> None:
    wrong = dataclasses.replace(asset, packages=(dataclasses.replace(asset.packages[0], sha256="0" * 64),))
    with pytest.raises(FetchError) as caught:
        fetch_asset(wrong, SILENT)
    message = str(caught.value)
    assert "tiny-1.0.whl" in message
    assert "0" * 64 in message
    assert asset.packages[0].sha256 in message
    assert not folder_of(wrong).exists()


def test_kept_download_is_used_without_network_and_a_damaged_one_is_deleted(
    asset: Asset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (Path(os.environ["OMNI_DOWNLOADS"]) / "tiny-1.0.whl").read_bytes()
    monkeypatch.delenv("OMNI_DOWNLOADS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "0")
    kept = home / "downloads" / "tiny-1.0.whl"
    kept.parent.mkdir()
    kept.write_bytes(content)
    assert obtain(asset.packages[0], SILENT) == kept
    kept.write_bytes(content[:-1])
    with pytest.raises(FetchError, match="Is there a network"):
        obtain(asset.packages[0], SILENT)
    assert not kept.exists()


def test_build_that_dies_half_way_leaves_no_asset_and_the_next_fetch_succeeds(asset: Asset) -> None:
    dying = dataclasses.replace(asset, build=f"{BUILDERS}:build_and_die")
    process = multiprocessing.get_context("spawn").Process(target=fetch_silently, args=(dying,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not folder_of(asset).exists()
    assert list(folder_of(asset).parent.glob(".tiny.building-*"))
    folder = fetch_asset(asset, SILENT)
    assert (folder / "hello.txt").exists()
    assert [entry.name for entry in folder.parent.iterdir()] == ["tiny"]


def test_two_processes_fetching_at_once_build_once(asset: Asset, home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fetch_silently, args=(asset,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (home / "builds.log").read_text().count("built") == 1
    assert is_current(asset)


def test_full_disk_says_how_much_is_needed(asset: Asset) -> None:
    full = dataclasses.replace(asset, build=f"{BUILDERS}:build_on_full_disk", unpacked_size=7_000_000)
    with pytest.raises(OSError, match=r"needs 7 MB.*OMNI_HOME"):
        fetch_asset(full, SILENT)
    assert not folder_of(asset).exists()
    assert not list(folder_of(asset).parent.iterdir())


def test_too_small_a_disk_is_refused_before_anything_is_downloaded(asset: Asset, home: Path) -> None:
    with pytest.raises(OSError, match="are free"):
        fetch_asset(dataclasses.replace(asset, unpacked_size=10**18), SILENT)
    assert not (home / "builds.log").exists()


def test_without_apt_get_the_message_tells_of_own_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(FetchError, match=r"no apt-get.*make quickstart DATA=folder"):
        obtain(ASSETS["stamps"].packages[0], SILENT)


def test_unknown_names_are_refused_with_the_allowed_ones(home: Path) -> None:
    with pytest.raises(ValueError, match=r"'smolm2'.*smollm2.*groups are quickstart"):
        starter.fetch(["smollm2", "smolm2"], progress=False)
    assert not list(home.iterdir())


def test_groups_expand_to_their_assets_once() -> None:
    assets = expand(["stamps", "quickstart"])
    assert assets == ["stamps", "smollm2", "efficientnet-lite0", "yamnet", "minilm", "sonic-pi"]


def test_missing_asset_says_how_to_fetch_it(home: Path) -> None:
    with pytest.raises(FileNotFoundError, match="python -m omni fetch stamps"):
        starter.path("stamps")
    with pytest.raises(FileNotFoundError, match="python -m omni fetch stamps"):
        starter.resolve("starter:stamps/image-train.jsonl")


def test_resolve_leaves_other_strings_alone() -> None:
    for string in ("data/train.jsonl", "/data/x", "HuggingFaceTB/SmolLM2-135M", "starters:x", ""):
        assert starter.resolve(string) == string


@pytest.mark.parametrize("width", ["80", "160"])
def test_list_shows_every_asset_with_its_licence(home: Path, width: str) -> None:
    environment = {**os.environ, "COLUMNS": width}
    command = [sys.executable, "-m", "omni", "fetch", "--list"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    for asset in ASSETS.values():
        (line,) = (line for line in shown.splitlines() if f" {asset.name} " in line)
        assert asset.licence in line


@pytest.mark.parametrize("place", ["a_file", "a_file/below", "/proc/nowhere"])
def test_home_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "a_file").touch()
    environment = {**os.environ, "OMNI_HOME": str(tmp_path / place)}
    command = [sys.executable, "-m", "omni", "fetch", "yamnet"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert str(tmp_path / place) in result.stderr
    assert "set OMNI_HOME" in result.stderr


def test_exit_code_is_2_for_an_unknown_name(home: Path) -> None:
    result = subprocess.run([sys.executable, "-m", "omni", "fetch", "nothing"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "there is no starter asset 'nothing'" in result.stderr


def test_pins_are_full_and_unique() -> None:
    packages = [package for asset in ASSETS.values() for package in asset.packages]
    assert all(len(bytes.fromhex(package.sha256)) == 32 for package in packages)
    assert len({package.filename for package in packages}) == len(packages)


def deb_with(members: dict[str, bytes]) -> bytes:
    """A Debian package with these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    package = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        package += header + content + b"\n" * (len(content) % 2)
    return package


def test_deb_unpacks_only_what_is_wanted_and_the_copyright(tmp_path: Path) -> None:
    package = tmp_path / "x.deb"
    members = {"./usr/share/x/a.txt": b"A", "./usr/share/x/b.bin": b"B", "./usr/share/doc/x/copyright": b"free"}
    package.write_bytes(deb_with(members))
    written = unpack_deb(package, tmp_path / "out", lambda p: p.name if p.suffix == ".txt" else None, SILENT)
    assert [file.read_bytes() for file in written] == [b"A"]
    assert (tmp_path / "out" / "licences" / "x.txt").read_bytes() == b"free"
    assert not (tmp_path / "out" / "b.bin").exists()


@pytest.mark.parametrize("keep", [0, 8, 60, 250])
def test_truncated_deb_is_a_clear_error(tmp_path: Path, keep: int) -> None:
    package = tmp_path / "x.deb"
    package.write_bytes(deb_with({"./a.txt": os.urandom(5000)})[:keep])
    with pytest.raises(FetchError, match=r"x\.deb"):
        unpack_deb(package, tmp_path / "out", lambda p: p.name, SILENT)


def test_deb_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    package = tmp_path / "x.deb"
    package.write_bytes(deb_with({"../../evil.txt": b"x"}))

    def as_named(inner: PurePosixPath) -> str:
        return str(inner)

    with pytest.raises(FetchError, match="outside"):
        unpack_deb(package, tmp_path / "out", as_named, SILENT)
    assert not list(tmp_path.parent.glob("evil.txt"))
