"""What goes wrong on the way: numbers that are none, media that vanish, a full or read-only disk."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import recording
from tests.train.runs import metrics, mixed_rows, row, run, weights, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.run.run_state import NonFiniteLossError
from train.runtime.save_errors import SaveError, prepare_output

SKIP = ["--train.non_finite", "skip"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "data", mixed_rows())


def data_with_nan(folder: Path, *broken: int) -> Path:
    """Eight samples of which some recordings hold NaN."""
    path = write_manifest(folder, [row(f"row-{i}", [f"image:{i}.npy"], "a frog", "what is this") for i in range(8)])
    for index in broken:
        np.save(folder / f"{index}.npy", np.full_like(recording(0), np.nan))
    return path


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


# --- numbers that are none ---


def test_step_that_is_not_finite_is_skipped_and_named(tmp_path: Path, tiny_llm: Path) -> None:
    data = data_with_nan(tmp_path / "data")
    settings: dict[str, Any] = {"steps": 4, "save_every": 1, "keep": 9, "batch_size": 1}
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, **settings), SKIP))
    broken = trainer.data.plan.draw(2).row  # of the third step
    data_with_nan(tmp_path / "data", broken)
    trainer.run()
    (skipped,) = lines(trainer.output_dir / "non_finite.jsonl")
    assert skipped == {"step": 3, "loss": "nan", "gradient_norm": "nan", "samples": [f"row-{broken}"]}
    before, at, after = (weights(trainer.output_dir / name) for name in ("step-0000002", "step-0000003", "last"))
    assert all(np.array_equal(before[name], at[name]) for name in at)
    assert not all(np.array_equal(at[name], after[name]) for name in at)
    assert all(np.isfinite(value).all() for value in after.values())
    assert set(metrics(trainer.output_dir, "loss")) == {1, 2, 4}
    assert "NaN" not in (trainer.output_dir / "metrics.jsonl").read_text()
    assert trainer.state.skipped_steps == 1


def test_run_that_skips_resumes_exactly(tmp_path: Path, tiny_llm: Path) -> None:
    data = data_with_nan(tmp_path / "data", 2, 5)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=6, save_every=3, keep=2, batch_size=4)
    whole = train(recipe, *SKIP).output_dir
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed, ignore=shutil.ignore_patterns("last", "step-*"))
    shutil.copytree(whole / "step-0000003", killed / "last")
    train(recipe, *SKIP, "--train.output_dir", str(killed))
    for name in ("last/adapter.safetensors", "non_finite.jsonl"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert metrics(killed, "loss") == metrics(whole, "loss")


def test_more_skipped_steps_than_allowed_stop_the_run(tmp_path: Path, tiny_llm: Path) -> None:
    data = data_with_nan(tmp_path / "data", *range(8))
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=8)
    with pytest.raises(NonFiniteLossError, match=r"step 3: .*train\.max_non_finite allows \(2\)"):
        train(recipe, *SKIP, "--train.max_non_finite", "2")
    assert [found["step"] for found in lines(tmp_path / "a/run/non_finite.jsonl")] == [1, 2, 3]


def test_stop_names_the_samples_and_the_way_on(tmp_path: Path, tiny_llm: Path) -> None:
    data = data_with_nan(tmp_path / "data", *range(8))
    result = run(write_recipe(tmp_path / "a", tiny_llm, data, steps=2, batch_size=1))
    assert result.returncode == 1
    assert "the loss is nan. The samples are among ['row-" in result.stderr
    assert "train.non_finite: skip" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.distributed
def test_all_processes_skip_a_step_together(tmp_path: Path, tiny_llm: Path) -> None:
    data = data_with_nan(tmp_path / "data", 5)
    settings: dict[str, Any] = {"steps": 4, "batch_size": 1}
    one = train(write_recipe(tmp_path / "one", tiny_llm, data, accumulation_steps=2, **settings), *SKIP).output_dir
    two = run(write_recipe(tmp_path / "two", tiny_llm, data, **settings), *SKIP, processes=2)
    assert two.returncode == 0, two.stderr
    found = [lines(folder / "non_finite.jsonl") for folder in (one, tmp_path / "two/run")]
    assert [(step["step"], step["samples"]) for step in found[0]] == [
        (step["step"], step["samples"]) for step in found[1]
    ]
    assert metrics(tmp_path / "two/run", "loss") == pytest.approx(metrics(one, "loss"), rel=1e-3)


def test_evaluation_loss_that_is_no_number_is_never_the_best(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    broken = data_with_nan(tmp_path / "broken", 3)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=1, evaluation=[{"path": str(broken)}])
    trainer = train(recipe)
    assert trainer.state.best_step is None
    assert (trainer.output_dir / "best" / "adapter.safetensors").is_file()  # the last one, for want of a better


# --- media that vanish ---


@pytest.mark.parametrize("num_workers", [0, 1])
def test_media_that_vanish_while_training_are_named_and_the_rest_goes_on(
    tmp_path: Path, tiny_llm: Path, num_workers: int
) -> None:
    data = write_manifest(tmp_path / "data", [row(f"row-{i}", [f"image:{i}.npy"], "a frog") for i in range(16)])
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=8, num_workers=num_workers)
    trainer = Trainer(load_recipe(recipe, ["--data.max_bad_share", "0.5"]))
    for index in (3, 7):
        (data.parent / f"{index}.npy").unlink()
    assert trainer.run().step == 8
    reasons = {found["id"]: found["reason"] for found in lines(trainer.output_dir / "bad_samples.jsonl")}
    assert set(reasons) == {"row-3", "row-7"}
    assert "3.npy" in reasons["row-3"]


def test_manifest_that_vanishes_stops_the_run_with_its_name_and_saves_nothing_wrong(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=30)
    trainer = Trainer(load_recipe(recipe))
    data.unlink()
    with pytest.raises((RuntimeError, ValueError), match=r"could not be used") as error:
        trainer.run()
    assert "data.jsonl" in str(error.value)


# --- a disk that takes nothing ---


@pytest.mark.parametrize("name", ["metrics.jsonl", "bad_samples.jsonl", ".loss.png"])
def test_full_disk_stops_the_run_with_the_file_and_it_goes_on_exactly(
    tmp_path: Path, tiny_llm: Path, name: str
) -> None:
    rows = [*mixed_rows(9), row("bad", ["image:missing.npy"], "a frog")]
    data = write_manifest(tmp_path / "data", rows)
    recipe = write_recipe(tmp_path / "whole", tiny_llm, data, steps=6, save_every=2, keep=9)
    whole = train(recipe).output_dir
    folder = tmp_path / "full"
    full = Trainer(load_recipe(recipe, ["--train.output_dir", str(folder)]))
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/full")  # every write fails with "no space left on device"
    shown = name.removeprefix(".")
    with pytest.raises(SaveError, match=rf"could not write .*/full/{shown}: No space left on device.*continues"):
        full.run()
    (folder / name).unlink()
    train(recipe, "--train.output_dir", str(folder))
    for file in ("last/adapter.safetensors", "bad_samples.jsonl"):
        assert (folder / file).read_bytes() == (whole / file).read_bytes(), file
    assert metrics(folder, "loss") == metrics(whole, "loss")


@contextmanager
def without_root() -> Iterator[None]:
    """Root may write everywhere: be nobody for a moment."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_read_only_output_folder_is_refused_before_anything_is_loaded(tiny_llm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir(mode=0o555)
    with without_root(), pytest.raises(ValueError, match=r"train\.output_dir: nothing can be written to .*denied"):
        prepare_output(folder / "mine")
    (tmp_path / "file").write_text("")
    result = run(write_recipe(tmp_path, tiny_llm, tmp_path / "no-data", output_dir=str(tmp_path / "file/x")))
    assert result.returncode == 1
    assert "train.output_dir: nothing can be written to" in result.stderr
    assert "Traceback" not in result.stderr
