"""The loop on one process: batches, frozen weights, resuming, numbers that are not numbers, and what is written."""

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from omni.model import OmniModel
from omni.recipe.schema import TrainConfig
from tests.disk import full_disk
from tests.tiny import recording
from tests.train.runs import metrics, mixed_rows, row, weights, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.run.optimizer import build_optimizer
from train.run.run_state import NonFiniteLossError
from train.run.schedule import learning_rate
from train.runtime.save_errors import SaveError

LORA = {"r": 2, "alpha": 4, "dropout": 0.2, "target_modules": ["q_proj", "v_proj"]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "data", mixed_rows())


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


def largest_difference(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> float:
    assert first.keys() == second.keys()
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def test_accumulation_equals_a_bigger_batch(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    whole = write_recipe(tmp_path / "whole", tiny_llm, data, batch_size=8, steps=3)
    parts = write_recipe(tmp_path / "parts", tiny_llm, data, batch_size=2, accumulation_steps=4, steps=3)
    packed = write_recipe(tmp_path / "packed", tiny_llm, data, batch_size=8, steps=3, packing=True)
    runs = [train(recipe).output_dir for recipe in (whole, parts, packed)]
    for name in ("loss", "gradient_norm"):
        assert metrics(runs[1], name) == pytest.approx(metrics(runs[0], name), rel=1e-4)
        assert metrics(runs[2], name) == pytest.approx(metrics(runs[0], name), rel=1e-4)
    assert largest_difference(weights(runs[0] / "last"), weights(runs[1] / "last")) < 1e-3  # of Adam's steps of 1e-2


def test_loss_is_the_mean_over_answer_tokens_not_over_samples(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row("short", ["image:0.npy"], "a frog"), row("long", ["sound:1.npy"], "the bell was heard in the picture")]
    data = write_manifest(tmp_path / "data", rows)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, batch_size=1, accumulation_steps=2, steps=1, lr=0.0)
    run = train(recipe)
    examples = [run.model.prepare(run.data.train[0].dataset[i], answer=True) for i in range(2)]  # type: ignore[arg-type]
    sums = [float(run.model([example], num_answer_tokens=1)) for example in examples]
    counts = [example.num_answer_tokens for example in examples]
    assert counts[1] > 2 * counts[0]
    # the instruction drawn for the step is not in the examples here, so only about equal
    assert metrics(run.output_dir, "loss")[1] == pytest.approx(sum(sums) / sum(counts), rel=0.1)
    assert metrics(run.output_dir, "answer_tokens")[1] == sum(counts)


def test_training_lowers_the_loss_and_leaves_frozen_weights_bit_identical(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, batch_size=8, steps=30, lr=5e-3, num_workers=1)
    trainer = Trainer(load_recipe(recipe))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run()
    after = trainer.model.state_dict()
    trained = set(trainer.model.trainable_parameters())
    frozen = set(before) - trained
    assert any(name.startswith("llm.") for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert all(".adapter." in name for name in trained)
    assert all(not torch.equal(before[name], after[name]) for name in trained)
    losses = metrics(trainer.output_dir, "loss")
    first, last = ([losses[step] for step in steps] for steps in (range(1, 5), range(27, 31)))
    assert sum(last) / 4 < sum(first) / 4 - 0.5
    assert set(weights(trainer.output_dir / "last")) == trained


def test_a_run_of_which_no_step_trains_anything_ends_with_an_error(tmp_path: Path, tiny_llm: Path) -> None:
    texts = write_manifest(tmp_path / "texts", [row(str(i), [], "a frog", "what is this") for i in range(4)])
    recipe = write_recipe(tmp_path / "a", tiny_llm, texts, steps=2, save_every=1, evaluation=[{"path": str(texts)}])
    for _ in range(2):  # the second goes on from the checkpoint of the first step, to the same end
        with pytest.raises(ValueError, match=r"none of the 2 steps changed a weight.* does not depend on .*image"):
            train(recipe)
    assert not (tmp_path / "a/run/best").exists()
    media = write_manifest(tmp_path / "media", [row(str(i), ["image:0.npy"], "a frog") for i in range(4)])
    broken = recording(0)
    broken[:] = np.nan
    np.save(media.parent / "0.npy", broken)
    with pytest.raises(ValueError, match=r"nothing was trained.* 2 steps were skipped"):
        train(write_recipe(tmp_path / "b", tiny_llm, media, steps=2, non_finite="skip"))


@pytest.mark.parametrize("modalities", [["image"], ["sound"], ["image", "sound"]])
def test_every_subset_of_modalities_trains(tmp_path: Path, tiny_llm: Path, modalities: list[str]) -> None:
    rows = [row(str(i), [f"{name}:{i}.npy" for name in modalities], "a frog", "what is this") for i in range(4)]
    data = write_manifest(tmp_path / "data", rows)
    trainer = train(write_recipe(tmp_path / "a", tiny_llm, data, weight_decay=0.0, steps=2))
    start = OmniModel.load(train(write_recipe(tmp_path / "b", tiny_llm, data, lr=0.0, steps=1)).output_dir / "last")
    moved = {
        name.split(".")[1]
        for name, value in start.state_dict().items()
        if ".adapter." in name and not torch.equal(value, trainer.model.state_dict()[name])
    }
    assert moved == set(modalities)


def test_stopped_and_resumed_equals_never_stopped(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    held_out = write_manifest(tmp_path / "held_out", mixed_rows(4, "held-out-"))
    settings: dict[str, Any] = {"steps": 6, "save_every": 1, "keep": 9, "evaluate_every": 2, "log_every": 2}
    recipe = write_recipe(
        tmp_path / "whole", tiny_llm, data, lora=LORA, evaluation=[{"path": str(held_out)}], **settings
    )
    whole = train(recipe).output_dir
    for stopped_after in (1, 3, 4):
        killed = tmp_path / f"killed-after-{stopped_after}"
        leave_as_killed(whole, killed, stopped_after)
        resumed = train(recipe, "--train.output_dir", str(killed), "--train.resume", "must")
        assert resumed.state.step == 6
        for name in ("adapter.safetensors", "lora/adapter_model.safetensors", "lora/adapter_config.json"):
            for model in ("last", "best"):
                assert (killed / model / name).read_bytes() == (whole / model / name).read_bytes(), (model, name)
        for name in ("loss", "lr", "gradient_norm", "answer_tokens", "evaluation_loss", "samples"):
            assert metrics(killed, name) == metrics(whole, name), name


def leave_as_killed(whole: Path, killed: Path, step: int) -> None:
    """Make of a finished run what one killed some time after `step` leaves: its checkpoint, and all metrics."""
    shutil.copytree(whole, killed, ignore=shutil.ignore_patterns("last", "step-*"))
    shutil.copytree(whole / f"step-{step:07d}", killed / "last")
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # cut short by the crash


def test_resuming_with_the_global_batch_cut_up_otherwise_goes_on_with_the_same_samples(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, batch_size=4, steps=4, save_every=1, keep=9)
    whole = train(recipe).output_dir
    other = tmp_path / "other"
    shutil.copytree(whole / "step-0000002", other / "last")
    train(recipe, "--train.output_dir", str(other), "--train.batch_size", "1", "--train.accumulation_steps", "4")
    assert metrics(other, "loss") == pytest.approx({s: v for s, v in metrics(whole, "loss").items() if s > 2}, rel=1e-4)


def test_finished_run_is_not_run_again(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=2)
    file = train(recipe).output_dir / "last" / "adapter.safetensors"
    written = file.stat().st_mtime_ns
    assert train(recipe).state.step == 2
    assert file.stat().st_mtime_ns == written


def test_other_settings_do_not_continue_a_run_but_never_begins_anew(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=2)
    train(recipe)
    with pytest.raises(ValueError, match=r"train\.lr: 0\.01 before, 0\.5 now") as error:
        train(recipe, "--train.lr", "0.5")
    assert "--train.resume never" in str(error.value)
    with pytest.raises(ValueError, match=r"batch_size x accumulation_steps x processes\): 2 before, 6 now"):
        train(recipe, "--train.batch_size", "6")
    again = train(recipe, "--train.lr", "0.5", "--train.resume", "never")
    assert set(metrics(again.output_dir, "loss")) == {1, 2}
    with pytest.raises(FileNotFoundError, match="resume is must"):
        train(recipe, "--train.output_dir", str(tmp_path / "new"), "--train.resume", "must")


def test_init_from_begins_with_the_weights_of_an_earlier_run(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    first = train(write_recipe(tmp_path / "a", tiny_llm, data, steps=3)).output_dir
    begun = write_recipe(tmp_path / "b", tiny_llm, data, steps=1, lr=0.0, init_from=str(first / "best"))
    second = train(begun).output_dir
    assert (second / "last/adapter.safetensors").read_bytes() == (first / "best/adapter.safetensors").read_bytes()
    assert "3 steps of 2 samples" in (second / "last/README.md").read_text()


def test_best_is_the_model_of_the_lowest_evaluation_loss(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    held_out = write_manifest(tmp_path / "held_out", mixed_rows(4, "held-out-"))
    # a learning rate far too high: the loss on held-out data goes up again
    recipe = write_recipe(
        tmp_path / "a",
        tiny_llm,
        data,
        evaluation=[{"path": str(held_out)}],
        steps=8,
        lr=0.3,
        warmup_steps=0,
        max_grad_norm=None,
        evaluate_every=1,
        save_every=1,
        keep=9,
        schedule="constant",
    )
    run = train(recipe)
    losses = metrics(run.output_dir, "evaluation_loss")
    best = min(losses, key=lambda step: losses[step])
    assert run.state.best_step == best
    kept = run.output_dir / (f"step-{best:07d}" if best < 8 else "last")
    assert (run.output_dir / "best/adapter.safetensors").read_bytes() == (kept / "adapter.safetensors").read_bytes()
    # the loss in the metrics is that of the saved model over all answer tokens
    model = OmniModel.load(run.output_dir / "best")
    examples = [model.prepare(sample, answer=True) for sample in run.data.evaluation[0].dataset]  # type: ignore[arg-type]
    assert losses[best] == pytest.approx(float(model(examples)), rel=1e-4)


def test_held_out_answers_are_evaluated_and_never_trained_on(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    by_answers = ["--data.held_out_by", "answers", "--data.held_out_share"]
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data), [*by_answers, "0.6"]))
    sides = [
        {source.dataset[row].messages[-1].text for source in sources for row in source.rows}  # type: ignore[union-attr]
        for sources in (trainer.data.train, trainer.data.evaluation)
    ]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
    assert sum(source.size for source in trainer.data.train + trainer.data.evaluation) == 16
    with pytest.raises(ValueError, match=r"held_out_share 1e-09 by answers leaves nothing for evaluation"):
        Trainer(load_recipe(tmp_path / "a/recipe.yaml", [*by_answers, "1.e-9"]))


def test_nan_in_a_recording_stops_the_run_naming_the_samples(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row(f"row-{i}", [f"image:{i}.npy"], "a frog") for i in range(8)]
    data = write_manifest(tmp_path / "data", rows)
    broken = recording(0)
    broken[:] = np.nan
    np.save(tmp_path / "data" / "5.npy", broken)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, batch_size=1, accumulation_steps=2, steps=8, save_every=1)
    trainer = Trainer(load_recipe(recipe))
    with pytest.raises(NonFiniteLossError, match=r"step \d+: the loss is nan.*\['row-5'\]"):
        trainer.run()
    saved = weights(trainer.output_dir / "last") if trainer.state.step else {}
    assert all(np.isfinite(value).all() for value in saved.values())


def test_failed_save_is_explained_and_leaves_the_old_checkpoint_whole(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=2, save_every=1)
    folder = train(recipe).output_dir / "last"
    old = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    trainer = Trainer(load_recipe(recipe))
    with full_disk(), pytest.raises(SaveError, match=re.escape(f"could not save to {folder}") + r".*before is whole"):
        trainer.folder.save(trainer.records)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == old
    assert sorted(item.name for item in folder.parent.iterdir() if item.name.startswith(".last")) == []


def test_run_writes_metrics_curve_tensorboard_card_and_recipe(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    run = train(write_recipe(tmp_path / "a", tiny_llm, data, steps=4, log_every=2)).output_dir
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [found["step"] for found in rows] == [2, 4]
    assert [found["samples"] for found in rows] == [4, 8]
    assert rows[1]["epoch"] == pytest.approx(8 / 16)
    with Image.open(run / "loss.png") as picture:
        assert picture.size[0] > 500
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10
    assert list((run / "tensorboard").glob("events*"))
    assert "4 steps of 2 samples" in (run / "last/README.md").read_text()
    assert load_recipe(run / "recipe.yaml").train.steps == 4


def test_schedule_warms_up_to_the_highest_rate_and_ends_at_its_share() -> None:
    config = TrainConfig(output_dir="", steps=100, lr=1.0, warmup_steps=9, final_lr_share=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[9] == max(rates)
    assert all(later < earlier for earlier, later in pairwise(rates[9:]))
    middle = 9 + 91 // 2
    assert rates[middle] == pytest.approx(0.55, abs=0.02)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    config.schedule = "linear"
    assert learning_rate(9 + 91 // 7, 100, config) == pytest.approx(1 - 0.9 / 7)
    config.schedule = "constant"
    assert learning_rate(99, 100, config) == 1.0


def test_weight_decay_reaches_layers_but_not_norms_biases_and_queries(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data)))
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    groups = build_optimizer(trainer.model, trainer.config).param_groups
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    spared = {names[id(p)] for group in groups if not group["weight_decay"] for p in group["params"]}
    assert decayed | spared == set(trainer.model.trainable_parameters())
    assert not any(name.endswith(("latents", "bias")) or "norm" in name for name in decayed)
    assert any(name.endswith("latents") for name in spared)
