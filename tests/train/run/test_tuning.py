"""What is trained and how: parameter groups, optimisers, frozen and new parts, first weights, stages, questions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from omni.model import OmniModel
from tests.tiny import MLP
from tests.train.runs import mixed_rows, row, weights, write_manifest, write_recipe
from train.recipe import load_recipe, load_recipes
from train.run.loop import Trainer
from train.run.optimizer import parameter_groups

LORA = {"r": 2, "alpha": 4, "target_modules": ["q_proj", "v_proj"], "mode": "per_modality"}
SOUND = {
    "encoder": {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": 1}},
    "adapter": MLP,
    "cue": "sound: ",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "data", mixed_rows())


def images(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "images", [row(str(i), [f"image:{i}.npy"], "a frog") for i in range(4)])


def change(recipe: Path, **top: Any) -> Path:
    recipe.write_text(yaml.safe_dump(yaml.safe_load(recipe.read_text()) | top))
    return recipe


def without_sound(recipe: Path) -> Path:
    values = yaml.safe_load(recipe.read_text())
    del values["model"]["modalities"]["sound"]
    recipe.write_text(yaml.safe_dump(values))
    return recipe


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


# --- parameter groups and optimisers ---


def test_groups_have_their_own_rates_and_the_schedule_scales_each(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    groups = [
        {"match": "modalities.image", "lr": 0.0},
        {"match": ["modalities.sound"], "lr": 0.02, "weight_decay": 0.5},
    ]
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, parameter_groups=groups, warmup_steps=3, steps=2, lora=LORA)
    trainer = Trainer(load_recipe(recipe))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    found = {(group["highest_lr"], group["weight_decay"]) for group in parameter_groups(trainer.model, trainer.config)}
    assert found == {(1e-2, 0.05), (0.0, 0.05), (0.0, 0.0), (0.02, 0.5), (0.02, 0.0)}
    trainer.run()
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(before[name], value)}
    assert moved
    assert not any(name.startswith("modalities.image") for name in moved)
    assert any(name.startswith("modalities.sound") for name in moved)
    assert any("lora_B" in name for name in moved)
    rates = {group["highest_lr"]: group["lr"] for group in trainer.runner.optimizer.param_groups}
    assert rates == pytest.approx({1e-2: 0.5e-2, 0.0: 0.0, 0.02: 0.01})  # step 2 of a warm-up over 3


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"match": "modalities.imag"}], r"parameter_groups\[0\].match: 'modalities.imag' matches .*modalities.image"),
        ([{"match": "*"}, {"match": "modalities.image"}], r"parameter_groups\[1\].*that no earlier group has"),
        ([{"match": "llm.model.model.norm"}], r"parameter_groups\[0\].*nothing that is trained"),
    ],
)
def test_a_group_that_matches_nothing_is_named(
    tmp_path: Path, tiny_llm: Path, data: Path, groups: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, parameter_groups=groups)))


def test_adamw_in_8_bits_trains_and_resumes_exactly(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, optimizer="adamw_8bit", steps=4, save_every=2, keep=2)
    whole = train(recipe).output_dir
    assert not np.array_equal(
        *(weights(whole / name)["modalities.image.adapter.latents"] for name in ("step-0000002", "last"))
    )
    other = tmp_path / "other"
    other.mkdir()
    (whole / "step-0000002").rename(other / "last")
    train(recipe, "--train.output_dir", str(other), "--train.resume", "must")
    for name, value in weights(other / "last").items():
        assert np.array_equal(value, weights(whole / "last")[name]), name


def test_paged_optimisers_need_a_gpu(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, optimizer="paged_adamw_8bit")
    with pytest.raises(ValueError, match=r"paged_adamw_8bit pages its states.*use adamw_8bit or adamw"):
        Trainer(load_recipe(recipe))


# --- frozen and unfrozen ---


def test_frozen_stays_and_unfrozen_is_trained_saved_and_resumed(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    norm = "llm.model.model.norm.weight"
    recipe = write_recipe(
        tmp_path / "a", tiny_llm, data, freeze=["modalities.image"], unfreeze=[norm], steps=4, save_every=2, keep=2
    )
    whole = train(recipe).output_dir
    early, late = weights(whole / "step-0000002"), weights(whole / "last")
    moved = {name for name in early if not np.array_equal(early[name], late[name])}
    assert norm in moved
    assert {name.split(".")[1] for name in moved - {norm}} == {"sound"}
    assert any(name.startswith("modalities.image") for name in late)
    other = tmp_path / "other"
    other.mkdir()
    (whole / "step-0000002").rename(other / "last")
    train(recipe, "--train.output_dir", str(other), "--train.resume", "must")
    assert (other / "last/adapter.safetensors").read_bytes() == (whole / "last/adapter.safetensors").read_bytes()
    assert torch.equal(
        OmniModel.load(whole / "best").state_dict()["llm.model.model.norm.weight"], torch.from_numpy(late[norm])
    )


# --- beginning with an earlier model ---


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_new_modality_is_trained_beside_frozen_ones(
    tmp_path: Path, tiny_llm: Path, data: Path, lora: dict[str, Any] | None
) -> None:
    first = train(
        without_sound(write_recipe(tmp_path / "a", tiny_llm, images(tmp_path), steps=2, lora=lora))
    ).output_dir
    recipe = write_recipe(tmp_path / "b", tiny_llm, data, steps=3, init_from=str(first / "best"), weight_decay=0.5)
    trainer = train(change(recipe, add_modalities={"sound": SOUND}))
    before, after = weights(first / "best"), weights(trainer.output_dir / "best")
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
    assert {name.split(".")[1] for name in set(after) - set(before)} == {"sound"}
    if lora is not None:
        path = "lora/image/adapter_model.safetensors"
        assert (first / "best" / path).read_bytes() == (trainer.output_dir / "best" / path).read_bytes()
        assert (trainer.output_dir / "best/lora/sound/adapter_model.safetensors").is_file()
    lines = "\n".join(trainer.learner.origin_lines)
    assert f"from {first / 'best'}; frozen" in lines
    assert "sound: MLP" in lines
    assert "new; trained" in lines
    old, new = OmniModel.load(first / "best"), OmniModel.load(trainer.output_dir / "best")
    sample = trainer.data.train[0].dataset[0]
    assert torch.equal(old([old.prepare(sample, answer=True)]), new([new.prepare(sample, answer=True)]))  # type: ignore[arg-type]


def test_a_modality_of_the_same_name_but_built_otherwise_is_refused(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    first = train(write_recipe(tmp_path / "a", tiny_llm, data, steps=1)).output_dir
    recipe = write_recipe(tmp_path / "b", tiny_llm, data, init_from=str(first / "best"))
    with pytest.raises(ValueError, match=r"add_modalities.sound: .* is built otherwise"):
        Trainer(load_recipe(change(recipe, add_modalities={"sound": SOUND | {"cue": "other: "}})))
    recipe = write_recipe(tmp_path / "c", tiny_llm, data)
    with pytest.raises(ValueError, match=r"add_modalities adds to the model of init_from; with model, write it in"):
        load_recipe(change(recipe, add_modalities={"sound": SOUND}))


def test_stages_align_then_add_a_lora_and_each_is_a_checkpoint(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=2)
    stages = [{"name": "align", "train": {"lr": 0.02}}, {"name": "answer", "add_lora": LORA, "train": {"steps": 1}}]
    first, second = load_recipes(change(recipe, stages=stages))
    Trainer(first).run()
    trainer = Trainer(second)
    aligned = weights(tmp_path / "a/run/align/best")
    state = trainer.model.state_dict()
    assert all(np.array_equal(value, state[name].numpy()) for name, value in aligned.items())
    trainer.run()
    assert OmniModel.load(tmp_path / "a/run/align/best").llm.lora_names() == []
    assert OmniModel.load(tmp_path / "a/run/best").llm.lora_names() == ["image", "sound"]


def test_an_adapter_begins_with_that_of_another_modality(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    first = train(write_recipe(tmp_path / "a", tiny_llm, data, steps=1)).output_dir
    recipe = write_recipe(tmp_path / "b", tiny_llm, images(tmp_path), lr=0.0, steps=1)
    source = {"path": str(first / "best"), "modality": "image", "exclude": ["latents"]}
    trainer = train(change(without_sound(recipe), init_adapters={"image": source}))
    before, after = weights(first / "best"), weights(trainer.output_dir / "last")
    for name, value in after.items():
        assert np.array_equal(value, before[name]) == (not name.endswith("latents")), name
    assert f"from image of {first / 'best'}; new: latents (1)" in trainer.learner.origin_lines[0]
    with pytest.raises(ValueError, match=r"init_adapters.video: there is no new modality.*there are \['image'\]"):
        load_recipe(change(recipe, init_adapters={"video": source}))


# --- questions ---


def test_training_on_questions_counts_their_tokens_but_held_out_answers_alone(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data)
    questions = ["--data.train.0.train_on_questions", "true", "--data.held_out_share", "0.6"]
    trainer = Trainer(load_recipe(recipe, questions))
    assert trainer.data.train[0].train_on_questions
    assert not trainer.data.evaluation[0].train_on_questions
    sample = trainer.data.train[0].dataset[2]
    both = trainer.model.prepare(sample, answer=True, questions=True)  # type: ignore[arg-type]
    alone = trainer.model.prepare(sample, answer=True)  # type: ignore[arg-type]
    assert both.num_answer_tokens > alone.num_answer_tokens
    tokenizer = trainer.model.llm.tokenizer
    extra = both.labels[(both.labels != alone.labels)]
    assert tokenizer.decode(extra) == "what is this<|im_end|>"


def test_questions_are_not_trained_on_where_the_adapter_reads_them(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data)
    reading = {
        "class_path": "adapters.QFormer",
        "init_args": {"num_queries": 2, "hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 8}
        | {"instruction_tokenizer": str(tiny_llm), "vocab_size": 400},
    }
    values = yaml.safe_load(recipe.read_text())
    values["model"]["modalities"]["image"]["adapter"] = reading
    values["data"]["train"][0]["train_on_questions"] = True
    recipe.write_text(yaml.safe_dump(values))
    with pytest.raises(ValueError, match=r"train_on_questions of .*: the adapters of \['image'\] read the question"):
        Trainer(load_recipe(recipe))
