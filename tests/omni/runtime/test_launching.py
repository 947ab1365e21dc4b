"""A launcher shows what the command has said, once, and ends with its exit status."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from omni.runtime.launching import launches_ours, say_once
from tests.documents import REPOSITORY

SAYS = """
import sys, time
from omni.runtime.launching import say_once
say_once("train: the recipe has no such key")
time.sleep(float(sys.argv[1]))
sys.exit(2)
"""


def launch(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a launcher with the entry points of pyproject.toml, in a folder with a command `train` that only fails."""
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    metadata = tmp_path / "omnitest-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: omnitest\nVersion: 0\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in one.items()) for group, one in groups.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "train.py").write_text(SAYS)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("accelerate", "launch"), ("accelerate", "launch", "--multi_gpu", "--num_processes", "2")]
)
def test_only_the_message_shows_and_the_status_is_that_of_the_command(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = launch(tmp_path, *words, "-m", "train", "0.5")
    assert done.stderr == "train: the recipe has no such key\n"
    assert done.stdout == ""
    assert done.returncode == 2


def test_launchers_of_our_commands_are_told_from_all_else() -> None:
    assert launches_ours(["/venv/bin/accelerate", "launch", "-m", "train", "recipe.yaml"])
    assert launches_ours(["accelerate", "launch", "--num_processes", "2", "--module", "omni", "cache"])
    assert launches_ours(["-u", "-m", "torch.distributed.run", "-m", "train.make_data"])
    assert launches_ours(["bin/torchrun", "--nproc_per_node", "2", "-m", "train"])
    assert not launches_ours(["accelerate", "launch", "train.py"])
    assert not launches_ours(["accelerate", "launch", "-m", "trainer"])
    assert not launches_ours(["accelerate", "launch", "other.py", "-m"])
    assert not launches_ours(["-m", "train", "recipe.yaml"])
    assert not launches_ours(["script.py", "-m", "train"])
    assert not launches_ours([])


def test_processes_of_one_attempt_say_a_thing_once_and_other_things_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for attempt in range(2):
        for rank in range(2):
            folder = tmp_path / f"attempt_{attempt}" / str(rank)
            folder.mkdir(parents=True)
            monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / "error.json"))
            say_once("no memory")
            say_once(f"rank {rank}")
    assert capsys.readouterr().err.splitlines() == ["no memory", "rank 0", "rank 1"] * 2
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "gone" / "0" / "error.json"))
    say_once("no folder")
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE")
    say_once("alone")
    say_once("alone")
    assert capsys.readouterr().err.splitlines() == ["no folder", "alone", "alone"]
