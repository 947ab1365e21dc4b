"""A name that is no model is said at once, with the key that holds it."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from huggingface_hub import constants

from omni.config import EncoderConfig, from_dict
from omni.encoders.building import check_encoder
from omni.runtime.hub import check_model
from tests.documents import REPOSITORY


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


def test_folders_are_told_from_ids(tmp_path: Path, tiny_llm: Path) -> None:
    (tmp_path / "runs" / "best").mkdir(parents=True)
    (tmp_path / "runs" / "best" / "config.yaml").touch()
    (tmp_path / "file.gguf").touch()
    check_model(str(tiny_llm), "model.llm.name")
    for name, message in {
        "runs": "the folder runs holds no model of transformers, for it has no config.json",
        "runs/best": "it is a model of omni, which init_from takes",
        "runs/other": "there is no folder runs/other (seen from",
        "./other": "there is no folder ./other",
        "file.gguf": "file.gguf is a file",
        "owner/model": "'owner/model' is no folder here, and the cache of the hub does not have it; HF_HUB_OFFLINE",
    }.items():
        with pytest.raises(FileNotFoundError, match=rf"^model\.llm\.name: .*{re.escape(message)}"):
            check_model(name, "model.llm.name")


def test_hub_that_cannot_be_reached_is_said_without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(FileNotFoundError, match=r"^llm: 'owner/model' is no folder here, and 127\.0\.0\.1:9 cannot be"):
        check_model("owner/model", "llm")


@pytest.mark.parametrize("encoder", ["HuggingFaceEncoder", "TextEncoder"])
def test_encoders_are_checked_before_anything_is_loaded(encoder: str) -> None:
    values = {"class_path": f"omni.encoders.{encoder}", "init_args": {"name": "owner/model"}}
    config = from_dict(EncoderConfig, {"encoder": values})
    with pytest.raises(FileNotFoundError, match=r"^model\.modalities\.image\.encoder\.init_args\.name: 'owner/model'"):
        check_encoder(config, "image")


def test_python_without_the_packages_says_which_to_take(tmp_path: Path) -> None:
    library = sysconfig.get_paths()["stdlib"]
    code = f"import sys; sys.path[:] = [{str(REPOSITORY)!r}, {library!r}, {library + '/lib-dynload'!r}]; import omni"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "has no package 'yaml', which omni needs: activate the environment" in done.stderr
    assert "source .venv/bin/activate" in done.stderr
    command = [sys.executable, "-S", "-m", "train", "recipe.yaml"]
    done = subprocess.run(command, cwd=REPOSITORY, env={"PYTHONPATH": ""}, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"this Python \(.*\) has no package 'yaml', .*\n", done.stderr)
