"""A run goes on from the newest checkpoint that is whole, over the data that it began with, and says what it does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from omni.runtime.checksums import CHECKSUMS
from tests.train.runs import metrics, mixed_rows, weights, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.run.resuming import find_checkpoint

LORA = {"r": 2, "alpha": 4, "target_modules": ["q_proj"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("data"), mixed_rows())


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path, data: Path) -> Path:
    """Of a run of four steps, whose folder `run` holds last/ (step 4) and the copies of all four steps."""
    settings: dict[str, Any] = {"steps": 4, "save_every": 1, "keep": 4, "lora": LORA}
    path = write_recipe(tmp_path_factory.mktemp("whole"), tiny_llm, data, **settings)
    Trainer(load_recipe(path)).run()
    return path


@pytest.fixture
def folder(tmp_path: Path, recipe: Path) -> Path:
    """The folder of the run as it was after step 3, with the copies of steps 2 and 3."""
    copy = tmp_path / "run"
    shutil.copytree(recipe.parent / "run", copy, ignore=shutil.ignore_patterns("last", "step-0000001", "step-0000004"))
    shutil.copytree(copy / "step-0000003", copy / "last")
    return copy


def flip(file: Path, share: float) -> None:
    """Flip one bit at a share of the file."""
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 4
    file.write_bytes(content)


def go_on(recipe: Path, folder: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, ["--train.output_dir", str(folder), *overrides]))
    trainer.run()
    return trainer


def test_a_flipped_bit_in_any_file_is_found_and_said(folder: Path) -> None:
    files = [file for file in (folder / "last").rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {
        "weights.pt",
        "state.json",
        "adapter.safetensors",
        "adapter_model.safetensors",
    }
    assert find_checkpoint(folder, "auto") == find_checkpoint(folder, "must")
    for file in files:
        content = file.read_bytes()
        for share in (0.0, 0.3, 0.999):
            flip(file, share)
            found = find_checkpoint(folder, "auto")
            assert found is not None
            (note,) = found.notes
            # a flipped digit of a checksum speaks against the file that it belongs to
            assert file.name in note or file.name == CHECKSUMS
            goes_on = "last" if "last: README.md" in note else "step-0000003"  # nothing is read from the card
            assert found.folder.name == goes_on, (file, share)
            file.write_bytes(content)
    found = find_checkpoint(folder, "auto")
    assert found is not None
    assert (found.folder, found.notes) == (folder / "last", ())


def test_a_missing_or_cut_file_is_found_too(folder: Path) -> None:
    (folder / "last/trainer_state/weights.pt").unlink()
    cut = folder / "step-0000003" / CHECKSUMS
    cut.write_text(cut.read_text().splitlines(keepends=True)[0])
    found = find_checkpoint(folder, "auto")
    assert found is not None
    assert found.folder.name == "step-0000002"
    assert "weights.pt is missing; the run goes on from step-0000002/" in found.notes[0]
    assert "SHA256SUMS does not list" in found.notes[1]


def test_the_run_goes_on_from_the_newest_whole_checkpoint_to_the_same_end(
    recipe: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip(folder / "last/trainer_state/weights.pt", 0.5)
    flip(folder / "step-0000003/adapter.safetensors", 0.9)
    go_on(recipe, folder)
    assert "last is damaged: trainer_state/weights.pt is not what was written" in caplog.text
    assert "the run goes on from step-0000002/" in caplog.text
    whole = recipe.parent / "run"
    assert (folder / "last/adapter.safetensors").read_bytes() == (whole / "last/adapter.safetensors").read_bytes()
    assert metrics(folder, "loss") == metrics(whole, "loss")


def test_without_a_whole_checkpoint_the_error_names_all_and_the_ways_out(recipe: Path, folder: Path) -> None:
    for name in ("last", "step-0000003", "step-0000002"):
        flip(folder / name / "trainer_state/state.json", 0.5)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match="no checkpoint of this run is whole") as error:
        go_on(recipe, folder)
    for words in ("last is damaged", "step-0000003", "step-0000002", "--train.resume never", "init_from"):
        assert words in str(error.value)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert go_on(recipe, folder, "--train.resume", "never").state.step == 4


def test_a_checkpoint_of_an_earlier_version_goes_on_and_says_that_it_is_unchecked(
    recipe: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "last" / CHECKSUMS).unlink()
    file = folder / "last/trainer_state/state.json"
    state = json.loads(file.read_text())
    del state["data"], state["run"]["trained_steps"], state["recipe"]["data"]["held_out_by"]
    file.write_text(json.dumps(state))
    trainer = go_on(recipe, folder)
    assert "has no checksums (an earlier version wrote it)" in caplog.text
    assert trainer.state.trained_steps == 4
    assert (weights(folder / "last").keys()) == weights(recipe.parent / "run/last").keys()
    for name in ("weights.pt", "state.json"):
        shutil.rmtree(folder / "last")
        shutil.copytree(folder / "step-0000003", folder / "last")
        (folder / "last" / CHECKSUMS).unlink()
        (folder / "last/trainer_state" / name).write_bytes(b"{")
        found = find_checkpoint(folder, "auto")
        assert found is not None
        assert found.folder.name.startswith("step-")
        assert name in found.notes[0]


def changed(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    other = json.loads(json.dumps(rows))
    other[5]["messages"][1]["content"][0]["text"] = "a goose"
    file = json.loads(json.dumps(rows))
    file[0]["messages"][0]["content"][0]["path"] = "9.npy"
    return {
        "more": [*rows, {**rows[0], "id": "new"}],
        "fewer": rows[:-1],
        "turned": rows[::-1],
        "another answer": other,
        "another file": file,
    }


@pytest.mark.parametrize("key", ["data.train", "data.evaluation"])
def test_a_run_over_changed_data_is_refused_with_what_has_changed(tmp_path: Path, tiny_llm: Path, key: str) -> None:
    rows = mixed_rows(8)
    train, held_out = (write_manifest(tmp_path / name, rows) for name in ("train", "held_out"))
    recipe = write_recipe(
        tmp_path / "a", tiny_llm, train, steps=2, save_every=1, keep=2, evaluation=[{"path": str(held_out)}]
    )
    folder = Trainer(load_recipe(recipe)).run() and tmp_path / "a/run"
    shutil.rmtree(folder / "last")
    shutil.rmtree(folder / "step-0000002")
    changes = changed(rows)
    for name, other in changes.items() if key == "data.train" else [*changes.items()][:1]:
        write_manifest(tmp_path / ("train" if key == "data.train" else "held_out"), other)
        with pytest.raises(ValueError, match=rf"holds a run over other data:\n  {key}: .*data\.jsonl") as error:
            go_on(recipe, folder)
        same = "still 8 rows" in str(error.value)
        assert same == (len(other) == 8), name
        assert all(way in str(error.value) for way in ("Bring the data back", "init_from", "--train.resume never"))
    write_manifest(tmp_path / "train", rows)
    write_manifest(tmp_path / "held_out", rows)
    assert go_on(recipe, folder).state.step == 2
