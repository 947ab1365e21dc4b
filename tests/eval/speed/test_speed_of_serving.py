"""`python -m eval.speed serving`: the running batch gives the answers of one at a time, and figures of both."""

import importlib.util
import json
from pathlib import Path

import pytest

from eval.speed import transformers_serving
from eval.speed.__main__ import main
from tests.tiny import tiny_model

SHORT = ["serving", "--questions", "3", "--tokens", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "model"
    tiny_model(tiny_llm).save(folder)
    return folder


def test_the_command_compares_the_running_batch_with_one_at_a_time(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SHORT, "--model", str(folder), "--at_once", "1", "3", "--rounds", "2", "--no_transformers"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "transformers serve was not measured: --no_transformers" in printed
    found = json.loads((tmp_path / "serving.json").read_text())
    assert [(one["name"], one["at_once"]) for one in found["contenders"]] == [
        ("one at a time", 1),
        ("running batch", 1),
        ("running batch", 3),
    ]
    for one in found["contenders"]:
        assert one["same_answers"] == 3
        assert 0 < one["num_tokens"] <= 12
        assert len(one["wall_seconds"]) == len(one["cpu_seconds"]) == 2
    assert f"| running batch | 3 | {found['contenders'][2]['num_tokens']} |" in printed


def test_what_is_missing_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_serving, "_NEEDED", ("no_such_package",))
    assert main([*SHORT, "--model", str(folder), "--at_once", "3", "--output", str(tmp_path)]) == 0
    assert "no_such_package missing; pip install 'transformers[serving]'" in capsys.readouterr().out
    for words in (["--rounds", "0"], ["--at_once", "0"], ["--tokens", "0"]):
        assert main(["serving", *words]) == 2


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="needs transformers[serving]")
def test_transformers_serve_answers_the_same_questions(folder: Path, tmp_path: Path) -> None:
    assert main([*SHORT, "--model", str(folder), "--at_once", "2", "--output", str(tmp_path)]) == 0
    theirs = json.loads((tmp_path / "serving.json").read_text())["contenders"][-1]
    assert (theirs["name"], theirs["at_once"]) == ("transformers serve", 2)
    assert theirs["same_answers"] == 3
    assert theirs["cpu_seconds"][0] > 0
