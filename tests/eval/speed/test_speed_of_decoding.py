from pathlib import Path

import pytest

from eval.speed.__main__ import main
from eval.speed.decoding import HERE, measure
from eval.speed.decoding_files import write_files
from eval.speed.decoding_worker import LOADERS
from omni.samples.messages import Media


def test_every_ordinary_file_is_decoded(tmp_path: Path) -> None:
    files = [*write_files(tmp_path)]
    assert {kind for kind, _ in files} == {*LOADERS}
    assert len({file.suffix for _, file in files}) >= 17
    for kind, file in files:
        LOADERS[kind](Media(kind, str(file)))


def test_two_checkouts_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    (speed,) = measure(HERE, rounds=2, seconds=0.01, names=["cloud.npy"])
    assert speed.seconds > 0
    assert speed.ratio is not None
    assert 0.01 < speed.ratio < 100  # the same code
    assert "| cloud.npy |" in capsys.readouterr().out


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["decoding", "--files", "cloud.docx"]) == 2
    assert "no file has such a name" in capsys.readouterr().err
    assert main(["decoding", "--against", str(tmp_path)]) == 2
    assert "there is no checkout of omni" in capsys.readouterr().err
