"""requirements.lock pins every package with the hashes of its files, and .ci/locked takes out what an install needs."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.documents import REPOSITORY

LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = sorted(PROJECT["project"]["optional-dependencies"])


PLUGINS = sorted((REPOSITORY / ".ci" / "plugins").glob("*.lock"))


def locked(*names: str) -> str:
    command = [sys.executable, str(REPOSITORY / ".ci" / "locked"), *names]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def packages(lock: str) -> set[str]:
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lock, re.M)}


@pytest.mark.parametrize("path", [REPOSITORY / "requirements.lock", *PLUGINS], ids=lambda path: path.name)
def test_every_package_is_pinned_with_hashes_and_names_no_host(path: Path) -> None:
    lock = path.read_text(encoding="utf-8")
    entries = re.findall(r"^\w.*\n(?: .*\n)*", lock, re.M)
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.+]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry
    assert "://" not in lock


def test_the_build_backend_has_one_version_everywhere() -> None:
    (backend,) = PROJECT["build-system"]["requires"]
    assert backend in PROJECT["dependency-groups"]["build"]
    assert f"\n{backend} " in LOCK


def test_the_lock_has_the_cpu_builds_of_its_own_torch() -> None:
    files = [line.split() for line in (REPOSITORY / ".ci" / "torch-cpu.sha256").read_text().splitlines()]
    version = re.search(r"^torch==(\S+) ", LOCK, re.M)
    assert version is not None
    for digest, name in files:
        assert name.startswith(f"torch-{version[1]}+cpu-"), name
        assert f"--hash=sha256:{digest}" in LOCK, name
    assert {re.findall(r"-(cp3\d+)-cp", name)[0] for _, name in files} >= {"cp311", "cp312", "cp313"}
    alone = locked("--alone", "--cpu-torch", "torch")
    assert alone.startswith(f"torch=={version[1]}+cpu ")
    assert set(re.findall(r"sha256:(\w+)", alone)) == {digest for digest, _ in files}


@pytest.mark.parametrize("extra", EXTRAS)
def test_part_of_an_extra_holds_what_its_packages_require(extra: str) -> None:
    names = packages(locked("project", extra))
    for name in names:
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another platform, or of an extra that is not installed here
        for text in requirements:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in names, f"{name} needs {text}"


def test_part_of_few_extras_leaves_out_those_of_others_and_of_gpus() -> None:
    few = packages(locked("project", "eval", "--no-cuda"))
    assert {"torch", "sacrebleu"} <= few
    assert not {"gradio", "pytest", "deepspeed", "triton"} & few
    assert not [name for name in few if name.startswith("nvidia-")]
    assert "triton" in packages(locked("project", "eval"))


def test_unknown_extra_is_refused_with_those_that_there_are() -> None:
    command = [sys.executable, str(REPOSITORY / ".ci" / "locked"), "project", "trian"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"has no trian; the extras are: .*train", done.stderr)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_locks_of_plugins_have_the_torch_and_the_requirements_of_the_project(path: Path) -> None:
    lock = path.read_text(encoding="utf-8")
    torch = re.search(r"^torch==\S+ ", LOCK, re.M)
    assert torch is not None
    assert f"\n{torch[0]}" in lock  # .ci/torch-cpu.sha256 is for this one
    for line in path.with_suffix(".in").read_text(encoding="utf-8").splitlines():
        assert re.search(rf"^{re.escape(line.split(' ')[0])}\b", lock, re.M), line
    part = packages(locked(f"--lock={path.relative_to(REPOSITORY)}", "--no-cuda", "project", path.stem, "pytest"))
    assert part >= {path.stem, "torch", "transformers", "pytest"}
    assert not {"torchvision", "triton"} & part
