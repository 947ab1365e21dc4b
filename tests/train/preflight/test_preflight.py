"""The dry run finds what would fail, shows what would be trained on, and writes nothing."""

import io
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from omni.model import build_model
from tests.shards import write_shards
from tests.tiny import tiny_config
from tests.train.runs import mixed_rows, row, run, write_manifest, write_recipe
from train.preflight.checks import preflight
from train.preflight.memory_estimate import activation_bytes, estimate_memory
from train.recipe import load_recipe, load_recipes
from train.run.loop import Trainer


def checked(recipe: Path, *overrides: str) -> tuple[bool, str]:
    """Verdict and output of the dry run."""
    output = io.StringIO()
    return preflight(load_recipes(recipe, overrides), Console(file=output)), output.getvalue()


def test_good_recipe_shows_prompt_lengths_parameters_and_memory_and_writes_nothing(
    tmp_path: Path, tiny_llm: Path
) -> None:
    rows = [row(f"row-{i}", [f"image:{i}.npy"], "a frog") for i in range(4)]
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", rows))
    good, output = checked(recipe)
    assert good, output
    assert "<image x 3>" in output
    assert "⟦a frog<|im_end|>⟧" in output
    assert "4 of 4 good" in output
    model = build_model(load_recipe(recipe).model)  # type: ignore[arg-type]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    together = next(line for line in output.splitlines() if line.startswith("together"))
    assert together.split() == ["together", f"{trained:,}", f"{frozen:,}"]
    assert all(name in output for name in ("ZeRO-1", "ZeRO-2", "ZeRO-3 + offload", "FSDP2", "a new run begins"))
    assert not (tmp_path / "a/run").exists()


def test_everything_wrong_is_found_in_one_go(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [*mixed_rows(8), row("gone", ["image:missing.npy"], "a frog"), row("long", [], "frog " * 600, "what")]
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", rows))
    good, output = checked(recipe, "--data.evaluation", "[{path: no.jsonl}]", "--train.resume", "must")
    assert not good
    assert "2 of 10 samples cannot be used" in output
    assert "gone:" in output
    assert "missing.npy" in output
    assert "10% longer than 512" in output
    assert "no.jsonl" in output
    assert "resume is must" in output
    assert "3 problem(s)" in output


def test_whatever_is_too_long_is_counted_however_the_reason_is_worded(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [
        {"id": str(i), "prompt": [{"role": "user", "content": "what is this"}], "chosen": "a frog", "rejected": answer}
        for i, answer in enumerate(["a dog", "dog " * 600, "a drum", "a bell"])
    ]
    objective = {"class_path": "train.objectives.PreferenceObjective"}
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", rows), objective=objective)
    _, output = checked(recipe)
    assert "tokens with the rejected answer are more than the context of 512" in output
    assert "25% longer than 512" in output


def test_stages_are_checked_before_the_first_one_has_run(tmp_path: Path, tiny_llm: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", mixed_rows(4)))
    values = yaml.safe_load(recipe.read_text())
    values["stages"] = [{"name": "align"}, {"name": "answer", "train": {"steps": 2}}]
    recipe.write_text(yaml.safe_dump(values))
    good, output = checked(recipe)
    assert good, output
    assert "stage 2 of 2" in output
    assert "align/best, which the stage before will write" in output


def test_what_a_later_stage_adds_and_freezes_is_counted(tmp_path: Path, tiny_llm: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", mixed_rows(4)))
    values = yaml.safe_load(recipe.read_text())
    lora = {"r": 2, "target_modules": ["q_proj"]}
    values["stages"] = [
        {"name": "align"},
        {"name": "answer", "add_lora": lora, "train": {"freeze": ["modalities.image.*"]}},
    ]
    recipe.write_text(yaml.safe_dump(values))
    good, output = checked(recipe)
    assert good, output
    first, second = (
        {line.rsplit(maxsplit=2)[0]: line.split()[-2] for line in part.splitlines() if len(line.split()) > 2}
        for part in output.split("stage 2 of 2")
    )
    assert (first["llm"], second["image adapter"]) == ("0", "0")
    assert int(second["llm"].replace(",", "")) > 0
    assert first["image adapter"] != "0"
    assert first["sound adapter"] == second["sound adapter"] != "0"


def test_run_to_continue_is_recognised_and_other_settings_are_refused(tmp_path: Path, tiny_llm: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", mixed_rows(4)), steps=1)
    Trainer(load_recipe(recipe)).run()
    assert "continues after step 1" in checked(recipe)[1]
    good, output = checked(recipe, "--train.lr", "0.5")
    assert not good
    assert "train.lr: 0.01 before, 0.5 now" in output
    good, output = checked(recipe, "--train.lr", "0.5", "--train.resume", "never")
    assert good
    assert "DELETING" in output


def test_command_checks_shards_and_ends_with_the_verdict(
    tmp_path: Path, tiny_llm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNI_HOME", str(tmp_path / "home"))
    write_shards(tmp_path / "shards", [3, 3])
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path / "shards/{0..1}.tar")
    done = run(recipe, "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 good" in done.stdout
    failed = run(recipe, "--dry_run", "--data.train.0.path", str(tmp_path / "shards/{0..2}.tar"))
    assert failed.returncode == 1
    assert "1 of 3 shards do not exist" in failed.stdout


def test_packs_are_named_in_plan_and_memory_and_those_of_shards_are_a_problem(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row(f"row-{i}", [f"image:{i}.npy"], "a frog") for i in range(4)]
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", rows), accumulation_steps=2)
    options = ["--train.packing", "true", "--train.pack_tokens", "3000"]
    good, output = checked(recipe, *options)
    assert good, output
    assert "steps of 2 packs of 3,000 tokens" in output
    assert "Activations: packs of 3,000 tokens" in " ".join(output.split())
    shards = write_shards(tmp_path / "shards", [3])
    good, output = checked(recipe, *options, "--data.train.0.path", str(shards[0]))
    assert not good
    assert "is read from shards in order" in " ".join(output.split())


def test_memory_is_divided_as_zero_does_it(tiny_llm: Path) -> None:
    model = build_model(tiny_config(tiny_llm))
    weights = sum(p.numel() * 4 for p in model.parameters())
    trained = sum(p.numel() * 4 for p in model.parameters() if p.requires_grad)
    by_name = {one.strategy: one for one in estimate_memory(model, 4, 100.0)}
    assert by_name["single / DDP"].total == pytest.approx(weights + 4 * trained + 100)
    assert by_name["ZeRO-1"].total == pytest.approx(weights + trained + 3 * trained / 4 + 100)
    assert by_name["ZeRO-2"].total == pytest.approx(weights + trained / 4 + 3 * trained / 4 + 100)
    assert by_name["ZeRO-2 + offload"].total == pytest.approx(weights + trained / 4 + 100)
    assert by_name["ZeRO-2 + offload"].host == 3 * trained / 4
    assert weights / 4 < by_name["FSDP2"].weights < weights  # a quarter, and one whole layer


def test_estimate_of_activations_is_close_to_what_autograd_keeps(tiny_llm: Path) -> None:
    model = build_model(tiny_config(tiny_llm))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    embeds = torch.randn(1, 200, 32, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.llm.model.model(inputs_embeds=embeds)  # type: ignore[operator]  # without the head
    assert activation_bytes(model, 200, 0) == pytest.approx(sum(kept.values()), rel=0.35)
    assert 0 < activation_bytes(model, 200, 0, checkpointed=True) < activation_bytes(model, 200, 0)


def test_an_objective_that_does_not_run_the_llm_needs_no_memory_of_its_layers(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", [row(f"row-{i}", [f"image:{i}.npy"], "a frog") for i in range(4)])
    align = {"class_path": "train.objectives.AlignObjective"}
    language = {"class_path": "train.objectives.LanguageModelObjective"}
    both = {"class_path": "train.objectives.WeightedSum", "init_args": {"objectives": [align, language]}}
    for number, (objective, without) in enumerate(((align, True), (both, False))):
        good, output = checked(write_recipe(tmp_path / str(number), tiny_llm, data, objective=objective))
        assert good, output
        assert ("Activations: none of the LLM" in " ".join(output.split())) == without


def test_rows_that_should_have_media_are_named_and_stop_nothing(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row(f"row-{i}", [], "a frog", "what is this") for i in range(40)]
    rows[7]["messages"][0]["content"][0]["text"] = "what is in <image_1> here"
    rows[9]["photo_file"] = "frog.png"
    data = write_manifest(tmp_path / "data", rows)
    good, output = checked(write_recipe(tmp_path / "a", tiny_llm, data))
    found = " ".join(output.split())
    assert good, output
    assert "none of the 40 rows holds any media, such as row-0, though the model has image, sound" in found
    assert "row-7: its text has '<image_1>', but it has no medium" in found
    assert "row-9: its key 'photo_file' names 'frog.png', which is not read" in found
    some = write_manifest(tmp_path / "some", [*rows[:3], row("seen", ["image:0.npy"], "a frog")])
    assert "3 of 4 rows hold no media" in checked(write_recipe(tmp_path / "b", tiny_llm, some))[1]
    all_of_them = write_manifest(tmp_path / "all", [row("seen", ["image:0.npy"], "a frog")])
    assert "media," not in checked(write_recipe(tmp_path / "c", tiny_llm, all_of_them))[1]


def test_a_mark_without_medium_is_found_in_any_row_with_both_named(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row(f"row-{i}", ["image:0.npy"], "a frog") for i in range(100)]
    turns = [{"role": "user", "content": "<image>\nWhat?"}, {"role": "assistant", "content": "a frog"}]
    rows[51] = {"id": "odd", "messages": turns, "images": ["0.npy", "1.npy"]}
    good, output = checked(write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", rows)))
    assert good, output
    assert "1 of 100 rows cannot be read" in output
    assert "odd: the text has 1 place(s) for image items, but the row has 2 (in the text: <image>" in output
    assert "1.npy" in output


def test_memory_is_that_of_the_devices_here(tmp_path: Path, tiny_llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_manifest(tmp_path / "data", [row("a", ["image:0.npy"], "a frog")])
    recipe = write_recipe(tmp_path / "a", tiny_llm, data)
    output = checked(recipe)[1]
    if not torch.accelerator.is_available():
        assert "1 device " in output
        assert "8 devices" not in output
    assert "This machine has" in output
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "3 devices" in checked(recipe)[1]


def test_what_is_held_out_is_said_with_the_answers_that_remain(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [row(f"row-{i}", ["image:0.npy"], ["a frog", "a dog", "a bell", "a drum"][i % 4]) for i in range(16)]
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", rows))
    good, output = checked(recipe, "--data.held_out_share", "0.25")
    assert good, output
    found = " ".join(output.split())
    assert "by rows, 4 of 16 rows (25.0%) are held out; all 4 different answers remain in training" in found
    assert "4 steps of 2 samples: 0.67 epochs" in found  # of the 12 rows that are left
    good, output = checked(recipe, "--data.held_out_share", "0.25", "--data.held_out_by", "answers")
    assert ("answers are in none of its rows any more" in output) if good else ("leaves nothing for" in output)


def test_changed_data_and_damaged_checkpoints_are_found_before_a_run_goes_on(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows(8))
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=2, save_every=1, keep=2)
    Trainer(load_recipe(recipe)).run()
    state = tmp_path / "a/run/last/trainer_state/state.json"
    state.write_text(state.read_text().replace('"step": 2', '"step": 1'))
    good, output = checked(recipe)
    assert good, output
    assert "the run goes on from step-0000002/" in " ".join(output.split())
    write_manifest(tmp_path / "data", mixed_rows(9))
    good, output = checked(recipe)
    assert not good
    assert "8 rows before, 9 now" in " ".join(output.split())
