"""A folder of the user's own becomes training and test manifests; what is of no use in it is named."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from demo.quickstart.plan import NUM_FREE, folder_plan


def _captions(manifest: Path) -> set[str]:
    return {json.loads(line)["meta"]["caption"] for line in manifest.read_text(encoding="utf-8").splitlines()}


def _pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")


def test_broken_files_reach_no_manifest_and_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    names = [f"käfer {letter}" for letter in "abcdefghijklmnop"]
    _pictures(data, names)
    (data / "zero.png").write_bytes(b"")
    (data / "disguise.png").write_text("text")
    for name in names:
        soundfile.write(data / f"{name}.wav", np.ones(100), 8000)
    soundfile.write(data / "empty.wav", np.zeros(0), 8000)
    plan = folder_plan(str(data), work)
    assert [training.modality for training in plan.trainings] == ["image", "sound"]
    for modality in ("image", "sound"):
        train, test = (_captions(work / f"{modality}-{side}.jsonl") for side in ("train", "test"))
        assert train | test == set(names)
        assert not train & test
        asked = [one for one in plan.questions if one.media[0].modality == modality]
        assert 1 <= len(asked) <= NUM_FREE
        assert {one.caption for one in asked} <= test
    printed = capsys.readouterr().out
    assert "zero.png: is empty" in printed
    assert "disguise.png: is not a picture" in printed
    assert "empty.wav: has no samples" in printed


def test_ten_captions_are_enough_whatever_they_are(tmp_path: Path) -> None:
    for start in range(0, 100, 10):
        _pictures(tmp_path / str(start), [f"thing{number}" for number in range(start, start + 10)])
        work = tmp_path / f"work {start}"
        folder_plan(str(tmp_path / str(start)), work)
        assert len(_captions(work / "image-test.jsonl")) >= 2
        assert len(_captions(work / "image-train.jsonl")) >= 2


def test_folder_with_too_little_says_what_it_needs(tmp_path: Path) -> None:
    _pictures(tmp_path, ["one", "two"])
    with pytest.raises(ValueError, match="at least some ten captions"):
        folder_plan(str(tmp_path), tmp_path / "work")


def _row(name: str, answer: object, **others: object) -> str:
    user = {"role": "user", "content": [{"type": "image", "path": f"{name}.png"}]}
    return json.dumps({"id": name, "messages": [user, {"role": "assistant", "content": answer}], **others})


def test_captions_are_the_answers_whatever_else_the_manifest_says(tmp_path: Path) -> None:
    names = [f"thing{number}" for number in range(12)]
    _pictures(tmp_path / "data", names)
    rows = [_row(name, f"a {name}", caption=7, meta={"caption": ["other"]}) for name in names]
    (tmp_path / "data" / "manifest.jsonl").write_text("\n".join(rows))
    folder_plan(str(tmp_path / "data"), tmp_path / "work")
    train, test = (_captions(tmp_path / "work" / f"image-{side}.jsonl") for side in ("train", "test"))
    assert train | test == {f"a {name}" for name in names}


def test_rows_without_answer_or_file_are_left_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"thing{number}" for number in range(12)]
    _pictures(tmp_path / "data", names)
    rows = [_row(name, f"a {name}") for name in names]
    picture = base64.b64encode((tmp_path / "data" / "thing0.png").read_bytes()).decode()
    inside = [{"role": "user", "content": [{"type": "image", "bytes": picture}]}, {"role": "assistant", "content": "x"}]
    rows += [_row("thing1", " ").replace("thing1", "no answer", 1), json.dumps({"id": "inside", "messages": inside})]
    rows += [json.dumps({"id": "question", "messages": [{"role": "user", "content": "what is this?"}]})]
    (tmp_path / "data" / "manifest.jsonl").write_text("\n".join(rows))
    folder_plan(str(tmp_path / "data"), tmp_path / "work")
    train, test = (_captions(tmp_path / "work" / f"image-{side}.jsonl") for side in ("train", "test"))
    assert train | test == {f"a {name}" for name in names}
    printed = capsys.readouterr().out
    assert "no answer: the answer is empty" in printed
    assert "question: there is no assistant turn" in printed
    assert "is no file" in printed
