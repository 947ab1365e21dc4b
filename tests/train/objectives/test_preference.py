"""Preference tuning: the right loss against the right reference, whether cut up, packed or interrupted."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from omni.model import OmniModel
from omni.samples.messages import Sample, parse_sample
from tests.tiny import recording, tiny_model
from tests.train.runs import metrics, run, weights, write_manifest, write_recipe
from train.objectives import LanguageModelObjective, PreferenceObjective, WeightedSum
from train.objectives.pairs import pair_log_likelihoods, prepare_pair
from train.objectives.preference import preference_losses
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.run.step import TrainingStep

LORA = {"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}
DROPOUT = {**LORA, "dropout": 0.3}
PREFERENCE = {"class_path": "train.objectives.PreferenceObjective", "init_args": {"beta": 0.5}}
FIGURES = ("loss", "reward_margin", "reward_chosen", "reward_rejected", "reward_accuracy", "gradient_norm")


def pair_row(name: str, media: Sequence[str], chosen: Any, rejected: Any, text: str | None = None) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": m.partition(":")[0], "path": m.partition(":")[2]} for m in media]
    content += [] if text is None else [{"type": "text", "text": text}]
    return {"id": name, "messages": [{"role": "user", "content": content}], "chosen": chosen, "rejected": rejected}


def pair_rows(count: int = 12) -> list[dict[str, Any]]:
    """Pairs over every subset of two modalities, with answers of different lengths."""
    subsets = [["image"], ["sound"], [], ["image", "sound"]]
    return [
        pair_row(
            f"pair-{i}",
            [f"{modality}:{i % 16}.npy" for modality in subsets[i % 4]],
            "a frog " + "and the bell " * (i % 3),
            "a drum" if i % 2 else "it was heard in the picture",
            None if subsets[i % 4] else "what is this",
        )
        for i in range(count)
    ]


def in_memory_pairs(count: int = 4) -> list[Sample]:
    samples = []
    for row in pair_rows(count):
        for part in row["messages"][0]["content"]:
            if "path" in part:
                part["data"] = recording(int(part.pop("path").removesuffix(".npy")))
        samples.append(parse_sample(row))
    return samples


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


def disturb(model: OmniModel, size: float = 0.3) -> None:
    """Change what is trained, as training does."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter += size * torch.randn_like(parameter)


# --- log-likelihoods ---


@pytest.mark.parametrize("packed", [False, True])
def test_log_likelihoods_of_a_pair_are_those_that_score_gives(tiny_llm: Path, packed: bool) -> None:
    model = tiny_model(tiny_llm)
    samples = in_memory_pairs()
    with torch.no_grad():
        found = pair_log_likelihoods(model, [prepare_pair(model, sample) for sample in samples], packed=packed)
    for index, sample in enumerate(samples):
        expected = model.score(sample, [sample.meta["chosen"], sample.meta["rejected"]])
        torch.testing.assert_close(torch.stack([found.chosen[index], found.rejected[index]]), expected)


def test_only_turns_after_the_prompt_count(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    before = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "the dog was heard"}]
    turns = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    row = {
        "id": "1",
        "messages": [*before, {"role": "user", "content": "is it"}],
        "chosen": [*turns, {"role": "assistant", "content": "frog"}],
        "rejected": "a bell",
    }
    pair = prepare_pair(model, parse_sample(row))
    assert pair.rejected is not None
    decode = model.llm.tokenizer.decode
    assert decode(pair.labels[pair.labels != -100]) == "a<|im_end|>frog<|im_end|>"
    assert decode(pair.rejected.labels[pair.rejected.labels != -100]) == "a bell<|im_end|>"


def test_media_of_a_pair_are_read_once(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    pair = prepare_pair(model, in_memory_pairs(1)[0])
    assert pair.rejected is not None
    assert pair.rejected.media is pair.media


# --- the objective ---


def test_losses_are_the_formulas_of_their_papers() -> None:
    h = torch.tensor([0.0, 2.0, -3.0])
    sigmoid = [-math.log(1 / (1 + math.exp(-0.5 * x))) for x in h.tolist()]
    opposite = [-math.log(1 / (1 + math.exp(0.5 * x))) for x in h.tolist()]
    assert preference_losses(h, 0.5, "sigmoid").tolist() == pytest.approx(sigmoid, rel=1e-5)
    smooth = [0.9 * one + 0.1 * other for one, other in zip(sigmoid, opposite, strict=True)]
    assert preference_losses(h, 0.5, "sigmoid", 0.1).tolist() == pytest.approx(smooth, rel=1e-5)
    assert preference_losses(h, 0.5, "ipo").tolist() == pytest.approx([1.0, 1.0, 16.0])
    assert preference_losses(h, 0.5, "hinge").tolist() == pytest.approx([1.0, 0.0, 2.5])


@pytest.mark.parametrize("length_normalized", [False, True])
def test_loss_compares_with_the_weights_of_the_beginning(tiny_llm: Path, length_normalized: bool) -> None:
    model, start = tiny_model(tiny_llm, lora=LORA), tiny_model(tiny_llm, lora=LORA)
    objective = PreferenceObjective(beta=0.5, length_normalized=length_normalized)
    objective.begin_run(model)
    disturb(model)
    samples = in_memory_pairs()
    pairs = [prepare_pair(model, sample) for sample in samples]
    objective.begin_step(len(pairs))
    loss, found = objective(model, pairs, 1, packed=False)
    normalization = "mean" if length_normalized else "sum"
    answers = [[sample.meta["chosen"], sample.meta["rejected"]] for sample in samples]
    now, then = (one.score_batch(samples, answers, normalization) for one in (model, start))
    rewards = 0.5 * (now - then)
    expected = preference_losses((rewards[:, 0] - rewards[:, 1]) / 0.5, 0.5, "sigmoid").mean()
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["reward_chosen"], rewards[:, 0].mean(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found["reward_margin"], (rewards[:, 0] - rewards[:, 1]).mean(), rtol=1e-3, atol=1e-5)
    assert found["reward_accuracy"] == (rewards[:, 0] > rewards[:, 1]).float().mean()


def test_reference_of_a_new_lora_is_the_llm_with_its_lora_off(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, lora=LORA, adapters={})
    objective = PreferenceObjective()
    objective.begin_run(model)
    disturb(model)
    pair = prepare_pair(model, parse_sample(pair_row("1", [], "a frog", "a drum", "what is this")))
    assert objective.reference is not None
    with objective.reference.in_place(model):
        reference = pair_log_likelihoods(model, [pair], packed=False)
    with model.llm.model.disable_adapter(), torch.no_grad():  # type: ignore[operator]  # PEFT's own switch
        off = pair_log_likelihoods(model, [pair], packed=False)
    with torch.no_grad():
        now = pair_log_likelihoods(model, [pair], packed=False)
    torch.testing.assert_close(reference.chosen, off.chosen)
    assert (now.chosen - off.chosen).abs() > 1e-3


def test_reference_leaves_weights_mode_and_gradients_as_they_were(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, lora=DROPOUT).train()
    objective = PreferenceObjective()
    objective.begin_run(model)
    disturb(model)
    before = model.trainable_state_dict()
    pairs = [prepare_pair(model, sample) for sample in in_memory_pairs()]
    loss, _ = objective(model, pairs, 1, packed=True)
    loss.backward()
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.trainable_state_dict().items())
    gradients = {name: parameter.grad for name, parameter in model.trainable_parameters().items()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert not any(parameter.requires_grad for parameter in objective.parameters())


def test_mixed_precision_does_not_confuse_reference_and_trained_weights(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    objective = PreferenceObjective(beta=1.0)
    objective.begin_run(model)
    disturb(model, 1.0)
    pairs = [prepare_pair(model, sample) for sample in in_memory_pairs()]
    _, exact = objective(model, pairs, 1, packed=False)
    both = WeightedSum([{"class_path": "train.objectives.LanguageModelObjective"}])
    both.objectives.append(objective)
    both.weights.append(1.0)
    with torch.autocast("cpu", torch.bfloat16):  # the language model loss comes first, and fills autocast's memory
        _, found = both(model, pairs, 1, packed=False)
    assert abs(float(exact["reward_margin"])) > 0.5
    assert float(found["reward_margin"]) == pytest.approx(float(exact["reward_margin"]), rel=0.1, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"beta": 0}, "beta must be above 0"),
        ({"loss": "simpo"}, "loss must be one of sigmoid, ipo, hinge"),
        ({"label_smoothing": 0.5}, "below 0.5"),
        ({"loss": "ipo", "label_smoothing": 0.1}, "ipo has none"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        PreferenceObjective(**arguments)


# --- runs ---


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "data", pair_rows())


def test_run_begins_without_a_preference_and_learns_one(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(
        tmp_path / "a", tiny_llm, data, objective=PREFERENCE, lora=LORA, batch_size=6, steps=12, packing=True, lr=3e-2
    )
    folder = train(recipe).output_dir
    assert metrics(folder, "loss")[1] == pytest.approx(math.log(2), abs=1e-6)
    assert metrics(folder, "reward_margin")[1] == pytest.approx(0, abs=1e-6)
    assert metrics(folder, "loss")[12] < 0.3
    assert metrics(folder, "reward_accuracy")[12] == 1
    assert metrics(folder, "reward_margin")[12] > 1


def test_pairs_of_a_step_may_be_cut_up_in_any_way(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    settings: dict[str, Any] = {"objective": PREFERENCE, "lora": LORA, "steps": 3, "max_grad_norm": None}
    whole = write_recipe(tmp_path / "whole", tiny_llm, data, batch_size=6, **settings)
    parts = write_recipe(tmp_path / "parts", tiny_llm, data, batch_size=2, accumulation_steps=3, **settings)
    packed = write_recipe(tmp_path / "packed", tiny_llm, data, batch_size=6, packing=True, **settings)
    runs = [train(recipe).output_dir for recipe in (whole, parts, packed)]
    for name in FIGURES:
        assert metrics(runs[1], name) == pytest.approx(metrics(runs[0], name), rel=1e-3, abs=1e-5), name
        assert metrics(runs[2], name) == pytest.approx(metrics(runs[0], name), rel=1e-3, abs=1e-5), name


@pytest.mark.distributed
def test_two_processes_equal_one_with_twice_the_accumulation(tmp_path: Path, tiny_llm: Path) -> None:
    bad = pair_row("bad", [], "a frog", None, "what is this")
    data = write_manifest(tmp_path / "data", [*pair_rows(11), bad])
    held_out = write_manifest(tmp_path / "held_out", pair_rows(5))
    settings: dict[str, Any] = {"objective": PREFERENCE, "lora": DROPOUT, "batch_size": 1, "steps": 4}
    settings |= {"evaluate_every": 2, "evaluation": [{"path": str(held_out)}]}
    one = train(write_recipe(tmp_path / "one", tiny_llm, data, accumulation_steps=4, **settings)).output_dir
    two = run(write_recipe(tmp_path / "two", tiny_llm, data, accumulation_steps=2, **settings), processes=2)
    assert two.returncode == 0, two.stderr
    folder = tmp_path / "two/run"
    for name in (*FIGURES, "evaluation_loss"):
        assert metrics(folder, name) == pytest.approx(metrics(one, name), rel=1e-3, abs=1e-4), name
    first, second = weights(one / "last"), weights(folder / "last")
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) < 1e-3


def test_resumed_run_keeps_the_reference_of_its_beginning(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    held_out = write_manifest(tmp_path / "held_out", pair_rows(4))
    settings: dict[str, Any] = {"objective": PREFERENCE, "lora": DROPOUT, "steps": 6, "save_every": 1, "keep": 9}
    settings |= {"evaluate_every": 3, "evaluation": [{"path": str(held_out)}]}
    recipe = write_recipe(tmp_path / "whole", tiny_llm, data, **settings)
    whole = train(recipe).output_dir
    killed = tmp_path / "killed"
    shutil.copytree(whole / "step-0000004", killed / "last")
    train(recipe, "--train.output_dir", str(killed), "--train.resume", "must")
    for name in ("adapter.safetensors", "lora/adapter_model.safetensors"):
        assert (killed / "last" / name).read_bytes() == (whole / "last" / name).read_bytes(), name
    for name in (*FIGURES, "evaluation_loss"):
        later = {step: value for step, value in metrics(whole, name).items() if step > 4}
        assert metrics(killed, name) == later, name


def test_stage_after_another_is_compared_with_the_model_of_that_stage(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    first = train(write_recipe(tmp_path / "a", tiny_llm, data, objective=PREFERENCE, lora=LORA, steps=3))
    second = write_recipe(
        tmp_path / "b", tiny_llm, data, objective=PREFERENCE, init_from=str(first.output_dir / "best"), steps=1
    )
    assert metrics(train(second).output_dir, "loss")[1] == pytest.approx(math.log(2), abs=1e-6)


def test_language_model_loss_on_the_chosen_answers_can_be_added(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    language = {"class_path": "train.objectives.LanguageModelObjective", "weight": 0.5}
    objective = {"class_path": "train.objectives.WeightedSum", "init_args": {"objectives": [PREFERENCE, language]}}
    folder = train(write_recipe(tmp_path / "a", tiny_llm, data, objective=objective, steps=2)).output_dir
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["loss"] == pytest.approx(row["PreferenceObjective"] + 0.5 * row[LanguageModelObjective.__name__])
    assert rows[0]["PreferenceObjective"] == pytest.approx(math.log(2), abs=1e-6)


def test_sample_without_a_rejected_answer_is_counted_and_named(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [*pair_rows(8), pair_row("half", [], "a frog", None, "what is this")]
    long = pair_row("long", [], "a frog", "a bell " * 300, "what is this")
    data = write_manifest(tmp_path / "data", [*rows, long])
    trainer = train(write_recipe(tmp_path / "a", tiny_llm, data, objective=PREFERENCE, steps=None, epochs=1))
    reasons = {sample.id: sample.reason for sample in trainer.records.bad_samples.distinct.values()}
    assert reasons["half"].startswith("'rejected' is missing")
    assert "tokens with the rejected answer" in reasons["long"]
    assert len(reasons) == 2
    assert trainer.state.samples == 8


def test_evaluation_takes_the_preference_loss(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(
        tmp_path / "a", tiny_llm, data, objective=PREFERENCE, steps=1, lr=0.0, evaluation=[{"path": str(data)}]
    )
    assert train(recipe).state.evaluation_loss == pytest.approx(math.log(2), abs=1e-6)


def test_answers_are_held_out_by_the_chosen_one(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [pair_row(str(i), [], f"answer {i % 10}", "no", "what is this") for i in range(40)]
    data = write_manifest(tmp_path / "data", rows)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, objective=PREFERENCE)
    trainer = Trainer(load_recipe(recipe, ["--data.held_out_share", "0.4", "--data.held_out_by", "answers"]))
    sides = [
        {source.dataset[row].meta["chosen"] for source in sources for row in source.rows}  # type: ignore[union-attr]
        for sources in (trainer.data.train, trainer.data.evaluation)
    ]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_two_objectives_that_prepare_samples_are_refused(tiny_llm: Path) -> None:
    total = WeightedSum([PREFERENCE, PREFERENCE])
    with pytest.raises(ValueError, match=r"\['PreferenceObjective', 'PreferenceObjective'\] each prepare samples"):
        TrainingStep(tiny_model(tiny_llm), total, packed=False)


def test_gradient_of_the_sigmoid_loss_is_beta_times_the_chance_of_being_wrong() -> None:
    h: Tensor = torch.tensor([0.7], requires_grad=True)
    preference_losses(h, 0.5, "sigmoid").sum().backward()
    assert h.grad is not None
    assert h.grad.item() == pytest.approx(-0.5 / (1 + math.exp(0.35)), rel=1e-5)  # equation after (7) of DPO
