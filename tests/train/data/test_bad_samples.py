"""Samples that cannot be used are named, counted and skipped; too many of them stop the run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.runs import metrics, mixed_rows, row, write_manifest, write_recipe
from train.data.bad_samples import BadSample, BadSampleLog, TooManyBadSamplesError
from train.recipe import load_recipe
from train.run.loop import Trainer

BROKEN: dict[str, Any] = {
    "not-there": row("not-there", ["image:missing.npy"], "a frog"),
    "not-a-recording": row("not-a-recording", ["image:text.npy"], "a frog"),
    "empty-recording": row("empty-recording", ["sound:empty.npy"], "a frog"),
    "empty-answer": row("empty-answer", ["sound:1.npy"], "  "),
    "unknown-modality": row("unknown-modality", ["smell:1.npy"], "a frog"),
    "too-long": row("too-long", ["image:1.npy"], "frog " * 600),
    "no-answer": {"id": "no-answer", "messages": [{"role": "user", "content": "what is this"}]},
}


def broken_data(folder: Path, good: int) -> Path:
    lines = [json.dumps(found) for found in [*mixed_rows(good), *BROKEN.values()]]
    path = write_manifest(folder, [*lines, '{"id": "cut-off", "messages": [{"ro'])
    (folder / "text.npy").write_text("this is no array")
    np.save(folder / "empty.npy", np.zeros((0, 3), dtype=np.float32))
    return path


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_kind_of_bad_sample_is_skipped_and_reported_once(
    tmp_path: Path, tiny_llm: Path, num_workers: int
) -> None:
    data = broken_data(tmp_path / "data", good=16)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=None, epochs=2, batch_size=4, num_workers=num_workers)
    trainer = Trainer(load_recipe(recipe, ["--data.max_bad_share", "0.5"]))
    state = trainer.run()
    reports = [json.loads(line) for line in (trainer.output_dir / "bad_samples.jsonl").read_text().splitlines()]
    reasons = {found["id"]: found["reason"] for found in reports}
    assert len(reports) == len(BROKEN) + 1
    assert set(BROKEN) < set(reasons)
    for name, part in {
        "not-there": "missing.npy",
        "empty-recording": "T >= 1",
        "empty-answer": "empty",
        "unknown-modality": "smell",
        "too-long": "context",
        "no-answer": "assistant",
    }.items():
        assert part in reasons[name], (name, reasons[name])
    assert {found["source"] for found in reports} == {str(data)}
    assert trainer.records.bad_samples.num_seen == 48
    assert trainer.records.bad_samples.num_bad == 16
    assert state.samples == 32
    assert all(np.isfinite(list(metrics(trainer.output_dir, "loss").values())))


def test_good_samples_are_trained_on_as_if_the_bad_ones_were_not_in_the_batch(tmp_path: Path, tiny_llm: Path) -> None:
    good = [row(str(i), [f"image:{i}.npy"], "a frog", "what is this") for i in range(3)]
    clean = write_manifest(tmp_path / "data", good, "clean.jsonl")
    dirty = write_manifest(tmp_path / "data", [*good, BROKEN["not-there"]], "dirty.jsonl")
    runs = []
    for name, data, size in (("clean", clean, 3), ("dirty", dirty, 4)):
        recipe = write_recipe(tmp_path / name, tiny_llm, data, steps=1, batch_size=size)
        trainer = Trainer(load_recipe(recipe))
        trainer.run()
        runs.append(trainer.output_dir)
    assert metrics(runs[0], "loss") == pytest.approx(metrics(runs[1], "loss"), rel=1e-5)
    assert metrics(runs[0], "answer_tokens") == metrics(runs[1], "answer_tokens")


def test_too_many_bad_samples_stop_the_run_with_a_list(tmp_path: Path, tiny_llm: Path) -> None:
    data = broken_data(tmp_path / "data", good=16)
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, steps=40, batch_size=4)))
    with pytest.raises(TooManyBadSamplesError, match=r"max_bad_share allows 5\.0%") as error:
        trainer.run()
    assert "not-a-recording" in str(error.value) or "not-there" in str(error.value)
    assert "bad_samples.jsonl" in str(error.value)


def test_batch_of_bad_samples_alone_changes_nothing(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", [BROKEN["not-there"], BROKEN["no-answer"]])
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, steps=2, batch_size=2)))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    with pytest.raises(ValueError, match=r"nothing was trained.*4 of 4 samples"):
        trainer.run()
    assert all(bool((before[name] == value).all()) for name, value in trainer.model.state_dict().items())


def test_longer_than_max_length_is_bad(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row("short", ["image:0.npy"], "a frog"), row("long", ["image:0.npy"], "the bell was heard in it " * 20)]
    data = write_manifest(tmp_path / "data", rows)
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, steps=1, max_length=100)))
    trainer.run()
    assert [sample.id for sample in trainer.records.bad_samples.distinct.values()] == ["long"]
    assert "train.max_length allows 100" in trainer.records.bad_samples.summary()


def test_few_bad_samples_never_stop_a_run_whatever_their_share() -> None:
    log = BadSampleLog(None, max_share=0.0)
    log.record(9, [BadSample(str(i), "data", "broken") for i in range(9)], step=1)
    with pytest.raises(TooManyBadSamplesError):
        log.record(1, [BadSample("9", "data", "broken")], step=2)


def test_unusable_data_sets_are_refused_by_name(tmp_path: Path, tiny_llm: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path / "nothing.jsonl")
    with pytest.raises(FileNotFoundError, match=r"nothing\.jsonl"):
        Trainer(load_recipe(recipe))
