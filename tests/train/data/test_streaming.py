"""Training from tar shards: every sample once, shards apart, and the same samples after a stop, whoever reads them."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from omni.readers import ShardDataset, StreamDataset, read_webdataset
from omni.readers.sources import Source
from omni.recipe.schema import TrainConfig
from omni.samples.messages import Sample, SampleError, parse_sample
from tests.shards import write_shards
from tests.tiny import tiny_model
from tests.train.runs import metrics, mixed_rows, row, run, weights, write_manifest, write_recipe
from train.data.mixing import Draw, MixingPlan, stream_seeds
from train.data.prepared import PreparedSamples
from train.data.stream_order import LaneReader, StreamLayout, choose_lanes
from train.data.streams import refuse_packs_of_streams, stream_layouts
from train.recipe import load_recipe
from train.run.loop import Trainer


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_HOME", str(tmp_path / "home"))


def plan_of(sizes: list[int], lanes: int, block: int = 2, buffer: int = 4, seed: int = 0) -> MixingPlan:
    return MixingPlan([sum(sizes)], [None], seed, {0: StreamLayout(lanes, block, tuple(sizes), buffer)})


def draws_of_reader(plan: MixingPlan, reader: int, readers: int, block: int, count: int) -> list[Draw]:
    """What one of several readers gets of the first `count` draws, micro-batches going round."""
    return [plan.draw(position) for position in range(count) if position // block % readers == reader]


@pytest.mark.parametrize("readers", [1, 2, 4])
@pytest.mark.parametrize("sizes", [[8] * 4, [3, 11, 0, 7, 9, 2]])
def test_every_pass_gives_every_sample_once_whatever_the_sizes(sizes: list[int], readers: int) -> None:
    plan = plan_of(sizes, lanes=readers)
    for epoch in range(3):
        draws = [plan.draw(epoch * sum(sizes) + i) for i in range(sum(sizes))]
        assert sorted(draw.row for draw in draws) == list(range(sum(sizes)))
        assert {draw.epoch for draw in draws} == {epoch}


def test_readers_have_shards_of_their_own() -> None:
    plan = plan_of([8] * 4, lanes=4)
    shards = [{draw.row // 8 for draw in draws_of_reader(plan, reader, 4, 2, 32)} for reader in range(4)]
    assert sorted(map(len, shards)) == [1, 1, 1, 1]
    assert set.union(*shards) == {0, 1, 2, 3}


def test_order_of_shards_and_samples_changes_with_seed_and_pass_and_stays_within_the_buffer() -> None:
    sizes = [10] * 5
    passes = [
        [plan_of(sizes, 1, seed=seed).draw(50 * epoch + i).row for i in range(50)]
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]
    ]
    assert passes[0] == passes[3]
    assert len({tuple(found) for found in passes}) == 3
    assert len({tuple(dict.fromkeys(row // 10 for row in found)) for found in passes}) == 3
    draws = [plan_of(sizes, 1, buffer=4).draw(i) for i in range(50)]
    late = [i - draw.place.number for i, draw in enumerate(draws) if draw.place]
    assert max(map(abs, late)) in (2, 3, 4)
    assert [plan_of(sizes, 1, buffer=1).draw(i).place.number for i in range(50)] == list(range(50))  # type: ignore[union-attr]


def test_streams_and_other_data_are_mixed_by_weight() -> None:
    plan = MixingPlan([30, 10], [3.0, 1.0], 0, {0: StreamLayout(2, 2, (15, 15), 4)})
    draws = [plan.draw(i) for i in range(120)]
    assert Counter(draw.source for draw in draws) == {0: 90, 1: 30}
    for epoch in range(3):
        assert sorted(d.row for d in draws if d.source == 0 and d.epoch == epoch) == list(range(30))
    assert all((draw.place is None) == (draw.source == 1) for draw in draws)


def reading(dataset: ShardDataset, draws: list[Draw]) -> list[str]:
    readers: dict[tuple[int, int], LaneReader] = {}
    found = []
    for draw in draws:
        assert draw.place is not None
        key = draw.place.lane, draw.epoch
        reader = readers.setdefault(key, LaneReader(dataset, stream_seeds(0, 0, draw.epoch)))
        sample = reader.read(draw.place)
        assert not isinstance(sample, SampleError)
        found.append(sample.id)
    return found


@pytest.mark.parametrize("scheme", ["", "pipe:cat "])
def test_readers_give_the_planned_samples_from_any_position_and_in_any_number(tmp_path: Path, scheme: str) -> None:
    sizes = [5, 9, 1, 6]
    dataset = read_webdataset([scheme + shard for shard in write_shards(tmp_path, sizes)], shuffle_buffer=4)
    plan = plan_of(sizes, lanes=2)
    draws = [plan.draw(i) for i in range(42)]
    ids = [dataset[draw.row].id for draw in draws]  # type: ignore[union-attr]
    assert reading(dataset, draws) == ids
    for start in (1, 7, 20, 21, 30):
        assert reading(dataset, draws[start:]) == ids[start:]
    for readers in (2, 3):
        for reader in range(readers):
            mine = [i for i in range(42) if i // 2 % readers == reader]
            assert reading(dataset, [draws[i] for i in mine]) == [ids[i] for i in mine]


def test_readers_of_their_own_lane_open_no_shard_twice(tmp_path: Path) -> None:
    log = tmp_path / "opened"
    shards = write_shards(tmp_path, [8] * 4)
    pipes = [f"pipe:echo {i} >> {log}; cat {shard}" for i, shard in enumerate(shards)]
    dataset = read_webdataset(pipes, shard_sizes=8, shuffle_buffer=4)
    plan = plan_of([8] * 4, lanes=2)
    for reader in range(2):
        reading(dataset, draws_of_reader(plan, reader, 2, 2, 32))
    assert sorted(log.read_text().split()) == ["0", "1", "2", "3"]


def test_number_of_lanes() -> None:
    assert choose_lanes(num_shards=100, num_processes=2, num_workers=4, wanted=None) == 8
    assert choose_lanes(num_shards=100, num_processes=2, num_workers=0, wanted=None) == 2
    assert choose_lanes(num_shards=5, num_processes=2, num_workers=4, wanted=None) == 4
    assert choose_lanes(num_shards=1, num_processes=2, num_workers=4, wanted=None) == 1
    assert choose_lanes(num_shards=1, num_processes=2, num_workers=4, wanted=16) == 16


def stream_recipe(folder: Path, llm: Path, shards: list[str], **train: object) -> Path:
    """A recipe with a stream and a manifest, each with a share of its own."""
    path = write_recipe(folder, llm, folder / "unused", **train)
    values = yaml.safe_load(path.read_text())
    rows = write_manifest(folder / "rows", mixed_rows(8))
    values["data"]["train"] = [
        {"path": shards, "weight": 3.0, "options": {"shuffle_buffer": 4}},
        {"path": str(rows), "weight": 1.0, "instructions": ["describe it"]},
    ]
    path.write_text(yaml.safe_dump(values))
    return path


def test_stopped_and_resumed_equals_never_stopped(tmp_path: Path, tiny_llm: Path) -> None:
    shards = write_shards(tmp_path / "shards", [5, 9, 3, 6])
    settings = {"steps": 10, "batch_size": 2, "save_every": 3, "keep": 20, "num_workers": 2}
    recipe = stream_recipe(tmp_path / "a", tiny_llm, shards, **settings)
    Trainer(load_recipe(recipe)).run()
    whole = tmp_path / "a/run"
    for stopped_after, workers in ((3, 2), (6, 0)):  # other workers change who reads what and nothing else
        killed = tmp_path / f"stopped-{stopped_after}"
        killed.mkdir()
        shutil.copytree(whole / f"step-{stopped_after:07d}", killed / "last")
        shutil.copy(whole / "metrics.jsonl", killed)
        overrides = ["--train.output_dir", str(killed), "--train.num_workers", str(workers)]
        Trainer(load_recipe(recipe, overrides)).run()
        assert metrics(killed, "loss") == metrics(whole, "loss"), stopped_after
        assert (killed / "last/adapter.safetensors").read_bytes() == (whole / "last/adapter.safetensors").read_bytes()


def test_resuming_with_the_batch_cut_up_otherwise_goes_on_with_the_same_samples(tmp_path: Path, tiny_llm: Path) -> None:
    shards = write_shards(tmp_path / "shards", [5, 9, 3, 6])
    recipe = stream_recipe(tmp_path / "a", tiny_llm, shards, steps=4, batch_size=4, save_every=2, keep=9, num_workers=2)
    Trainer(load_recipe(recipe)).run()
    shutil.copytree(tmp_path / "a/run/step-0000002", tmp_path / "b/last")
    overrides = [
        "--train.output_dir",
        str(tmp_path / "b"),
        "--train.batch_size",
        "1",
        "--train.accumulation_steps",
        "4",
    ]
    Trainer(load_recipe(recipe, overrides)).run()
    expected = {step: loss for step, loss in metrics(tmp_path / "a/run", "loss").items() if step > 2}
    assert metrics(tmp_path / "b", "loss") == pytest.approx(expected, rel=1e-4)


def test_other_shards_do_not_continue_a_run(tmp_path: Path, tiny_llm: Path) -> None:
    write_shards(tmp_path / "shards", [4, 4])
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path / "shards/*.tar", steps=2)
    Trainer(load_recipe(recipe)).run()
    write_shards(tmp_path / "shards", [4, 4, 4])
    with pytest.raises(ValueError, match=r"2 before, 3 now; different: .*2\.tar"):
        Trainer(load_recipe(recipe, ["--train.resume", "must"]))


@pytest.mark.distributed
def test_two_processes_share_the_shards_and_continue_as_one(tmp_path: Path, tiny_llm: Path) -> None:
    log = tmp_path / "opened"
    shards = write_shards(tmp_path / "shards", [4] * 4)
    pipes = [f"pipe:echo {i} $RANK >> {log}; cat {shard}" for i, shard in enumerate(shards)]
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path, steps=None, epochs=1, batch_size=2, save_every=2, keep=9)
    values = yaml.safe_load(recipe.read_text())
    values["data"]["train"] = [{"path": pipes, "options": {"shard_sizes": 4, "shuffle_buffer": 2}}]
    recipe.write_text(yaml.safe_dump(values))
    two = run(recipe, processes=2)
    assert two.returncode == 0, two.stderr
    opened = [line.split() for line in log.read_text().splitlines()]
    ranks = {rank: {shard for shard, by in opened if by == rank} for rank in "01"}
    assert {len(found) for found in ranks.values()} == {2}
    assert ranks["0"] | ranks["1"] == set("0123")
    assert metrics(tmp_path / "a/run", "samples") == {1: 4, 2: 8, 3: 12, 4: 16}
    # 1 process takes over after step 2, with twice the accumulation
    shutil.copytree(tmp_path / "a/run/step-0000002", tmp_path / "b/last")
    overrides = ["--train.output_dir", str(tmp_path / "b"), "--train.accumulation_steps", "2"]
    Trainer(load_recipe(recipe, overrides)).run()
    first, second = (weights(tmp_path / name / "last") for name in ("a/run", "b"))
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) < 1e-3


def test_damaged_shards_and_failing_commands_are_reported_and_the_run_goes_on(tmp_path: Path, tiny_llm: Path) -> None:
    shards = write_shards(tmp_path / "shards", [8, 8])
    content = Path(shards[1]).read_bytes()
    Path(shards[1]).write_bytes(content[: content.index(b"1-6.npy") + 600])
    failing = f"pipe:cat {shards[0]} | head -c 5000; echo no such bucket >&2; exit 3"
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path, steps=None, epochs=2, batch_size=4)
    values = yaml.safe_load(recipe.read_text())
    values["data"] = {"train": [{"path": [*shards, failing]}], "max_bad_share": 0.5}
    recipe.write_text(yaml.safe_dump(values))
    trainer = Trainer(load_recipe(recipe))
    trainer.run()
    reports = [json.loads(line) for line in (trainer.output_dir / "bad_samples.jsonl").read_text().splitlines()]
    named = {found["id"]: found["reason"] for found in reports}
    assert set(named) == {shards[1], failing}
    assert "cannot be read further" in named[shards[1]]
    assert "status 3 and said: no such bucket" in named[failing]
    assert trainer.records.bad_samples.num_bad == 4


def test_streams_can_be_evaluated_on_and_limited_but_not_split(tmp_path: Path, tiny_llm: Path) -> None:
    write_shards(tmp_path / "shards", [4, 4])
    evaluation = [{"path": str(tmp_path / "shards/*.tar"), "limit": 5}]
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path / "shards/{0..1}.tar", steps=2, evaluation=evaluation)
    trainer = Trainer(load_recipe(recipe))
    trainer.run()
    assert [source.size for source in trainer.data.evaluation] == [5]
    assert trainer.records.bad_evaluation_samples.num_seen == 5
    with pytest.raises(ValueError, match="held_out_share cannot be taken from"):
        Trainer(load_recipe(recipe, ["--data.held_out_share", "0.2", "--train.resume", "never"]))


class Recorder(StreamDataset):
    """A stream of one's own: recordings that a device gives hour by hour."""

    shards = ("morning", "noon", "evening")
    sizes = (5, 3, 4)
    shuffle_buffer = 2
    lanes = None

    def __len__(self) -> int:
        return sum(self.sizes)

    def _read(self, index: int) -> Sample:
        raise AssertionError("a stream is read by its entries")

    def entries(self, shard: int, start: int = 0) -> Iterator[int]:
        yield from range(start, self.sizes[shard])

    def decode(self, entry: int, shard: int) -> Sample | SampleError:
        return parse_sample(row(f"{self.shards[shard]}-{entry}", [], "a frog", "what is this"))

    def limited(self, limit: int) -> StreamDataset:
        raise NotImplementedError


def test_a_stream_of_ones_own_is_read_in_order_by_lanes_and_is_not_packed(tiny_llm: Path) -> None:
    source = Source("recorder", Recorder(), range(12), None, ())
    config = TrainConfig(output_dir="", epochs=2, batch_size=2, num_workers=0)
    plan = MixingPlan([12], [None], 0, stream_layouts([source], config, 2, {}))
    prepared = PreparedSamples([source], tiny_model(tiny_llm), 0, None)
    for epoch in range(2):
        ids = [prepared[plan.draw(12 * epoch + i)].id for i in range(12)]
        assert sorted(ids) == sorted(
            f"{name}-{i}" for name, size in zip(Recorder.shards, Recorder.sizes, strict=True) for i in range(size)
        )
    config.pack_tokens = 100
    with pytest.raises(ValueError, match="recorder is read from shards in order"):
        refuse_packs_of_streams([source], config)
