"""Packs: what stands in them, that they depend on nothing but recipe and data, and runs made of them."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.shards import write_shards
from tests.train.objectives.test_preference import PREFERENCE, pair_rows
from tests.train.runs import metrics, mixed_rows, row, run, weights, write_manifest, write_recipe
from train.data.mixing import Draw, MixingPlan
from train.data.packing import PackedMicroBatches, PackPlan, first_fit, plan_packs, positions_taken
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.run.run_state import RunState

LENGTHS = np.random.default_rng(0).integers(20, 120, size=300).tolist()


def plan(**options: int | None) -> tuple[MixingPlan, PackPlan]:
    draws = MixingPlan([300], [None], seed=1)

    def measure(start: int, stop: int) -> list[int]:
        return [LENGTHS[draws.draw(position).row] for position in range(start, stop)]

    settings: dict[str, int | None] = {"budget": 512, "window": 100, "num_draws": 600} | options
    return draws, plan_packs(draws, measure, **settings)  # type: ignore[arg-type]


def sizes(draws: MixingPlan, packs: PackPlan) -> list[int]:
    return [sum(LENGTHS[draws.draw(i).row] for i in packs.pack(index)) for index in range(len(packs))]


def test_first_fit_puts_the_longest_first_into_the_first_bin_with_room() -> None:
    assert first_fit([4, 8, 1, 4, 2, 1], 10) == [[1, 4], [0, 2, 3, 5]]
    assert first_fit([4, 8, 1], 10, open_bin=3) == [[0, 2], [1]]


def test_what_is_longer_than_the_budget_is_alone_and_what_cannot_be_used_takes_no_room() -> None:
    assert first_fit([5, 30, 0, 5, 12], 10) == [[0, 2, 3], [1], [4]]
    assert first_fit([30, 30], 10) == [[], [0], [1]]


def test_every_draw_is_in_exactly_one_pack_and_packs_are_full() -> None:
    draws, packs = plan()
    assert sorted(packs.positions.tolist()) == list(range(600))
    tokens = sizes(draws, packs)
    assert max(tokens) <= 512
    assert sum(tokens) / (512 * len(packs)) > 0.97
    # each pass over the data is whole
    assert Counter(draws.draw(i).row for i in packs.positions) == dict.fromkeys(range(300), 2)


def test_a_draw_stays_near_its_place() -> None:
    _, packs = plan()
    for index in range(len(packs) - 1):
        assert max(packs.pack(index)) - min(packs.pack(index)) < 300


def test_packs_are_not_sorted_by_the_length_of_their_samples() -> None:
    draws, packs = plan(window=300, num_draws=300)
    means = [np.mean([LENGTHS[draws.draw(i).row] for i in packs.pack(index)]) for index in range(len(packs))]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_as_many_packs_as_steps_need_are_the_first_of_more() -> None:
    _, fewer = plan(num_draws=None, num_packs=30)
    _, more = plan(num_draws=None, num_packs=40)
    assert [fewer.pack(i) for i in range(30)] == [more.pack(i) for i in range(30)]
    assert len(fewer) == 30
    assert fewer.num_draws(30) == len(fewer.positions) == more.num_draws(30)
    assert fewer.pack(30) == []


def test_data_without_a_usable_sample_still_end_a_plan() -> None:
    draws = MixingPlan([8], [None], seed=0)
    packs = plan_packs(draws, lambda start, stop: [0] * (stop - start), budget=10, window=4, num_packs=3)
    assert [len(packs.pack(i)) for i in range(3)] == [4, 4, 4]


@pytest.mark.parametrize(("num_processes", "accumulation_steps"), [(2, 2), (4, 1)])
def test_processes_and_accumulation_give_the_same_packs_to_a_step(num_processes: int, accumulation_steps: int) -> None:
    draws, packs = plan()

    def steps(processes: int, accumulation: int, first: int = 0) -> list[list[list[Draw]]]:
        options = {"accumulation_steps": accumulation, "num_processes": processes, "first_step": first, "num_steps": 9}
        parts = [[*PackedMicroBatches(draws, packs, process_index=index, **options)] for index in range(processes)]
        return [
            [part[step * accumulation + place] for place in range(accumulation) for part in parts]
            for step in range(9 - first)
        ]

    assert steps(num_processes, accumulation_steps) == steps(1, 4)
    assert steps(num_processes, accumulation_steps, first=3) == steps(1, 4)[3:]


def test_positions_of_a_pack_against_those_of_a_padded_batch() -> None:
    assert positions_taken([10, 30, 20], 64) == (60, 90, 64)
    assert positions_taken([100], 64) == (100, 100, 100)
    assert positions_taken([10, 30], None) == (40, 60, 40)
    assert positions_taken([], 64) == (0, 0, 0)
    state = RunState()
    state.count_positions([10, 30, 20], 64)
    state.count_positions([4], 64)
    assert (state.tokens, state.padded_positions, state.pack_capacity) == (64, 94, 128)


# --- runs ---


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "data", mixed_rows(24))


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


def seen_ids(trainer: Trainer) -> list[list[str]]:
    """Ids of the samples of every pack."""
    assert trainer.steps.packs is not None
    source = trainer.data.train[0]
    draws = [
        [trainer.data.plan.draw(i) for i in trainer.steps.packs.pack(index)]
        for index in range(len(trainer.steps.packs))
    ]
    return [[source.dataset[draw.row].id for draw in pack] for pack in draws]  # type: ignore[union-attr]


def test_an_epoch_of_packs_takes_every_sample_once_within_the_budget(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=None, epochs=2, packing=True, pack_tokens=200)
    trainer = train(recipe)
    assert Counter(name for pack in seen_ids(trainer) for name in pack) == {str(i): 2 for i in range(24)}
    assert trainer.state.samples == 48
    assert trainer.state.step == trainer.steps.num_steps == len(seen_ids(trainer))
    assert metrics(trainer.output_dir, "epoch")[trainer.steps.num_steps] == pytest.approx(2.0)
    prepared = [
        sum(trainer.model.prepare(trainer.data.train[0].dataset[int(name)], answer=True).length for name in pack)  # type: ignore[arg-type]
        for pack in seen_ids(trainer)
    ]
    assert max(prepared) <= 200  # without the instruction, which is part of the measured length
    tokens, fill = (metrics(trainer.output_dir, name)[trainer.steps.num_steps] for name in ("tokens", "pack_fill"))
    assert sum(prepared) < tokens <= 200 * trainer.steps.num_steps
    assert fill == pytest.approx(tokens / (200 * trainer.steps.num_steps))
    assert 0.05 < metrics(trainer.output_dir, "pad_share_saved")[trainer.steps.num_steps] < 0.6
    assert metrics(trainer.output_dir, "lr")[trainer.steps.num_steps] < 1e-3  # the schedule ends with the packs


def test_packs_are_the_same_with_workers_and_with_cached_features(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    settings = {"steps": 4, "packing": True, "pack_tokens": 150, "pack_window": 10}
    plain = train(write_recipe(tmp_path / "a", tiny_llm, data, **settings))
    cached = write_recipe(tmp_path / "b", tiny_llm, data, **settings, feature_cache=str(tmp_path / "cache"))
    for options in (["--train.num_workers", "2"], ["--train.resume", "never"]):
        other = train(cached, *options)
        assert seen_ids(other) == seen_ids(plain)
        assert metrics(other.output_dir, "loss") == pytest.approx(metrics(plain.output_dir, "loss"), rel=1e-5)


def test_a_run_of_packs_goes_on_where_it_was_stopped_bit_for_bit(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    settings = {"steps": None, "epochs": 1.5, "save_every": 1, "keep": 20, "log_every": 2, "accumulation_steps": 2}
    recipe = write_recipe(tmp_path / "whole", tiny_llm, data, packing=True, pack_tokens=150, **settings)
    whole = train(recipe).output_dir
    for stopped_after, plan_is_there in ((1, True), (2, False)):
        killed = tmp_path / f"killed-after-{stopped_after}"
        shutil.copytree(whole, killed, ignore=shutil.ignore_patterns("last", "step-*"))
        shutil.copytree(whole / f"step-{stopped_after:07d}", killed / "last")
        if not plan_is_there:
            (killed / "packs.npz").unlink()
        train(recipe, "--train.output_dir", str(killed), "--train.resume", "must")
        assert (killed / "last/adapter.safetensors").read_bytes() == (whole / "last/adapter.safetensors").read_bytes()
        for name in ("loss", "lr", "samples", "tokens", "pad_share_saved", "pack_fill", "epoch"):
            assert metrics(killed, name) == metrics(whole, name), name


def test_other_data_or_another_number_of_packs_do_not_continue_a_run(
    tmp_path: Path, tiny_llm: Path, data: Path
) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, packing=True, pack_tokens=400, steps=2, save_every=1, keep=3)
    folder = train(recipe).output_dir
    train(recipe, "--train.batch_size", "7")  # which packs do not look at
    with pytest.raises(ValueError, match=r"packs of one step \(accumulation_steps x processes\): 1 before, 2 now"):
        train(recipe, "--train.accumulation_steps", "2")
    shutil.rmtree(folder / "last")
    shutil.copytree(folder / "step-0000001", folder / "last")
    (folder / "packs.npz").write_bytes(b"cut short")
    write_manifest(data.parent, [row(str(i), [], "a frog " * 20, "what is this " * 20) for i in range(24)])
    with pytest.raises(ValueError, match=r"a run over other data:\n  data\.train: .* not the same ones"):
        train(recipe)


def test_bad_samples_are_counted_once_and_take_no_room(tmp_path: Path, tiny_llm: Path) -> None:
    rows = [
        *mixed_rows(20),
        row("missing", ["image:missing.npy"], "a frog"),
        row("missing-sound", ["sound:missing.npy"], "a frog"),
        row("long", [], "a frog " * 200, "what"),
        '{"id": "broken", "messages": 3}',
    ]
    data = write_manifest(tmp_path / "data", rows)
    settings = {"packing": True, "pack_tokens": 300, "max_length": 250, "steps": None, "epochs": 1}
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, **settings)
    trainer = train(recipe)
    found = [json.loads(line)["id"] for line in (trainer.output_dir / "bad_samples.jsonl").read_text().splitlines()]
    assert sorted(found) == ["broken", "long", "missing", "missing-sound"]
    assert trainer.records.bad_samples.num_bad == 4
    assert trainer.state.samples == 20
    assert all(pack for pack in seen_packs_without_bad(trainer))


def seen_packs_without_bad(trainer: Trainer) -> list[list[int]]:
    assert trainer.steps.packs is not None
    rows = [
        [trainer.data.plan.draw(i).row for i in trainer.steps.packs.pack(index)]
        for index in range(len(trainer.steps.packs))
    ]
    return [[found for found in pack if found < 20] for pack in rows]


def test_a_budget_without_packing_is_refused(tmp_path: Path, tiny_llm: Path, data: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, data)
    with pytest.raises(ValueError, match=r"train\.packing is False, but must be true where train\.pack_tokens is set"):
        load_recipe(recipe, ["--train.pack_tokens", "100"])
    with pytest.raises(ValueError, match=r"train\.pack_attention.*'varlen'"):
        load_recipe(recipe, ["--train.pack_attention", "flex"])


def test_shards_cannot_be_planned(tmp_path: Path, tiny_llm: Path) -> None:
    shards = write_shards(tmp_path / "shards", [4, 4])
    recipe = write_recipe(tmp_path / "a", tiny_llm, Path(shards[0]), packing=True, steps=2)
    with pytest.raises(ValueError, match=r"train\.pack_tokens is 100, but .* is read from shards in order"):
        Trainer(load_recipe(recipe, ["--train.pack_tokens", "100"]))
    assert train(recipe).state.step == 2


def test_a_preference_pair_takes_the_room_of_both_its_conversations(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", pair_rows(12))
    settings = {"packing": True, "pack_tokens": 150, "steps": None, "epochs": 1}
    trainer = train(write_recipe(tmp_path / "a", tiny_llm, data, objective=PREFERENCE, **settings))
    assert trainer.steps.packs is not None
    prepared = trainer.prepared(trainer.data.train)
    packs = [
        [prepared[trainer.data.plan.draw(i)] for i in trainer.steps.packs.pack(index)]
        for index in range(len(trainer.steps.packs))
    ]
    sizes = [sum(one.length + one.rejected.length for one in pack) for pack in packs]  # type: ignore[union-attr]
    assert max(sizes) <= 150
    assert min(map(len, packs)) >= 1
    assert trainer.state.tokens == sum(sizes)
    assert trainer.state.samples == 12


def test_a_summary_tells_steps_samples_and_what_packing_saved(
    tmp_path: Path, tiny_llm: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(write_recipe(tmp_path / "a", tiny_llm, data, packing=True, pack_tokens=150, steps=3))
    errors = capfd.readouterr().err
    assert "3 steps of 1 packs of 150 tokens on 1 process(es)" in errors
    samples = int(metrics(tmp_path / "a/run", "samples")[3])
    assert f"done: 3 steps, {samples} samples, packs " in errors
    assert "% pads saved" in errors


@pytest.mark.distributed
def test_packs_on_two_processes_equal_one_with_twice_the_accumulation(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", [*mixed_rows(23), row("bad", ["image:missing.npy"], "a frog")])
    settings = {"packing": True, "pack_tokens": 120, "steps": None, "epochs": 1.5}
    one = run(write_recipe(tmp_path / "one", tiny_llm, data, accumulation_steps=4, **settings))
    two = run(write_recipe(tmp_path / "two", tiny_llm, data, accumulation_steps=2, **settings), processes=2)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    runs = tmp_path / "one/run", tmp_path / "two/run"
    for name in ("loss", "gradient_norm", "samples", "answer_tokens", "tokens", "pack_fill"):
        assert metrics(runs[1], name) == pytest.approx(metrics(runs[0], name), rel=1e-3), name
    first, second = (weights(folder / "last") for folder in runs)
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) < 1e-3
    assert (runs[0] / "bad_samples.jsonl").read_text() == (runs[1] / "bad_samples.jsonl").read_text()
