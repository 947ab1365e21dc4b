"""Runs with a feature cache: the losses of runs without, no encoder from the second epoch on, and no weights of one."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from omni.__main__ import main
from omni.encoders.base import Features
from omni.feature_cache.retention import list_shards, prune
from omni.model import OmniModel
from tests.tiny import SensorEncoder
from tests.train.runs import metrics, row, weights, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer


class CountingEncoder(SensorEncoder):
    """Counts the clips that it encodes, and draws random numbers when it is built, as encoders without weights do."""

    num_clips = 0

    def __init__(self, seed: int = 0, modality: str = "sensor") -> None:
        torch.rand(7)
        super().__init__(seed=seed, modality=modality)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        CountingEncoder.num_clips += len(inputs["values"])
        return super().encode(inputs)


class CountingTrainer(Trainer):
    """Notes after each step how many clips were encoded so far."""

    def _train_step(self, *arguments: Any) -> int:
        result = super()._train_step(*arguments)
        self.__dict__.setdefault("counts", []).append(CountingEncoder.num_clips)
        return result


def recipe(folder: Path, llm: Path, **train: Any) -> Path:
    """A recipe with 12 rows of two modalities, of which every media item occurs once; 6 steps are an epoch."""
    rows = [
        row(str(i), [f"{('image', 'sound')[i % 2]}:{i}.npy"], f"a frog {'and a bell' * (i % 3)}") for i in range(12)
    ]
    data = write_manifest(folder.parent / "data", rows)
    path = write_recipe(folder, llm, data, **({"epochs": 2, "steps": None} | train))
    path.write_text(path.read_text().replace("tests.tiny.SensorEncoder", f"{__name__}.CountingEncoder"))
    return path


def train(path: Path, *overrides: str) -> CountingTrainer:
    CountingEncoder.num_clips = 0
    trainer = CountingTrainer(load_recipe(path, overrides))
    trainer.run()
    return trainer


def is_released(trainer: Trainer) -> list[bool]:
    return [trainer.model.modality(name).encoder.is_released for name in trainer.model.modalities]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_cached_losses_are_the_live_ones_and_the_second_epoch_has_no_encoder(
    tmp_path: Path, tiny_llm: Path, num_workers: int
) -> None:
    live = train(recipe(tmp_path / "live", tiny_llm, num_workers=num_workers))
    path = recipe(tmp_path / "cached", tiny_llm, num_workers=num_workers, feature_cache=str(tmp_path / "cache"))
    CountingEncoder.num_clips = 0
    trainer = CountingTrainer(load_recipe(path))
    alive = [weakref.ref(trainer.model.modality(name).encoder.weight) for name in ("image", "sound")]  # type: ignore[arg-type]
    trainer.run()
    counts = trainer.__dict__["counts"]
    assert len(counts) == 12
    assert counts[5] == live.__dict__["counts"][5]
    assert counts[5:] == [counts[5]] * 7
    assert live.__dict__["counts"][11] == 2 * counts[5]
    assert is_released(trainer) == [True, True]
    assert [reference() for reference in alive] == [None, None]
    assert not any("encoder" in name for name in trainer.model.state_dict())
    for name in ("loss", "gradient_norm"):
        assert metrics(trainer.output_dir, name) == metrics(live.output_dir, name)
    first, second = (weights(run.output_dir / "last") for run in (live, trainer))
    assert all((first[name] == second[name]).all() for name in first)
    model = OmniModel.load(trainer.output_dir / "last")
    assert isinstance(model.modality("image").encoder, CountingEncoder)
    assert "CountingEncoder" in (trainer.output_dir / "last/README.md").read_text()


def test_a_filled_cache_means_no_encoder_at_all_and_the_same_losses(tmp_path: Path, tiny_llm: Path) -> None:
    first = train(recipe(tmp_path / "a", tiny_llm, feature_cache=str(tmp_path / "cache")))
    second = train(recipe(tmp_path / "b", tiny_llm, feature_cache=str(tmp_path / "cache")))
    assert second.__dict__["counts"][-1] == 0
    assert is_released(second) == [True, True]
    assert metrics(second.output_dir, "loss") == metrics(first.output_dir, "loss")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_entries_that_vanish_bring_the_encoder_back_without_changing_the_losses(
    tmp_path: Path, tiny_llm: Path, num_workers: int
) -> None:
    live = train(recipe(tmp_path / "live", tiny_llm, epochs=4))

    class Vandal(CountingTrainer):
        def _train_step(self, *arguments: Any) -> int:
            result = super()._train_step(*arguments)
            if self.state.step == 8:
                assert is_released(self) == [True, True]
                for shard in list_shards(tmp_path / "cache"):
                    content = bytearray(shard.data_path.read_bytes())
                    content[:] = bytes(len(content))
                    shard.data_path.write_bytes(content)
            return result

    options = {"epochs": 4, "feature_cache": str(tmp_path / "cache"), "num_workers": num_workers}
    CountingEncoder.num_clips = 0
    trainer = Vandal(load_recipe(recipe(tmp_path / "cached", tiny_llm, **options)))
    trainer.run()
    counts = trainer.__dict__["counts"]
    assert counts[7] == counts[5] < counts[-1] <= 2 * counts[5]
    assert metrics(trainer.output_dir, "loss") == metrics(live.output_dir, "loss")


def test_an_evaluation_of_other_media_has_its_encoder_and_training_goes_on_without(
    tmp_path: Path, tiny_llm: Path
) -> None:
    rows = [row(f"held-out-{i}", [f"image:{i}.npy"], "a frog") for i in (12, 13, 14)]
    held_out = write_manifest(tmp_path / "held_out", rows)
    options: dict[str, Any] = {"epochs": 3, "evaluate_every": 6, "evaluation": [{"path": str(held_out)}]}
    live = train(recipe(tmp_path / "live", tiny_llm, **options))
    trainer = train(recipe(tmp_path / "cached", tiny_llm, feature_cache=str(tmp_path / "cache"), **options))
    assert is_released(trainer) == [True, True]
    assert metrics(trainer.output_dir, "evaluation_loss") == metrics(live.output_dir, "evaluation_loss")
    assert metrics(trainer.output_dir, "loss") == metrics(live.output_dir, "loss")


def test_an_encoder_whose_weights_an_earlier_run_trained_stays_and_no_build_caches_it(
    tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = train(recipe(tmp_path / "tuned", tiny_llm, epochs=1, unfreeze=["modalities.image.encoder"]))
    folder = str(tuned.output_dir / "last")
    live = train(recipe(tmp_path / "live", tiny_llm, init_from=folder))
    path = recipe(tmp_path / "cached", tiny_llm, init_from=folder, feature_cache=str(tmp_path / "cache"))
    assert main(["cache", "--build", str(path), "--num-workers", "0"]) == 0
    assert "encoder of image is trained" in capsys.readouterr().out
    trainer = train(path)
    assert trainer.model.unfrozen == {"modalities.image.encoder.weight"}
    assert is_released(trainer) == [False, True]
    assert metrics(trainer.output_dir, "loss") == metrics(live.output_dir, "loss")
    assert weights(trainer.output_dir / "last").keys() == weights(tuned.output_dir / "last").keys()


def test_half_precision_gives_the_same_losses_whether_or_not_the_cache_was_filled(
    tmp_path: Path, tiny_llm: Path
) -> None:
    options = {"feature_cache": str(tmp_path / "cache"), "feature_cache_dtype": "float16"}
    first = train(recipe(tmp_path / "a", tiny_llm, **options))
    second = train(recipe(tmp_path / "b", tiny_llm, **options))
    assert metrics(second.output_dir, "loss") == metrics(first.output_dir, "loss")
    assert second.__dict__["counts"][-1] == 0


def test_a_cache_that_is_too_small_for_the_data_keeps_the_encoder(tmp_path: Path, tiny_llm: Path) -> None:
    live = train(recipe(tmp_path / "live", tiny_llm))
    options = {"feature_cache": str(tmp_path / "cache"), "feature_cache_max_gb": 1e-6}
    trainer = train(recipe(tmp_path / "cached", tiny_llm, **options))
    assert is_released(trainer) == [False, False]
    assert sum(shard.num_bytes for shard in list_shards(tmp_path / "cache")) <= 1000
    assert metrics(trainer.output_dir, "loss") == metrics(live.output_dir, "loss")


def test_other_number_formats_or_views_do_not_continue_a_run_but_another_limit_does(
    tmp_path: Path, tiny_llm: Path
) -> None:
    path = recipe(tmp_path / "a", tiny_llm, feature_cache=str(tmp_path / "cache"))
    train(path)
    prune(tmp_path / "cache", 0)
    train(path, "--train.feature_cache_max_gb", "3")
    with pytest.raises(ValueError, match=r"train\.feature_cache_dtype"):
        train(path, "--train.feature_cache_dtype", "bfloat16")
    with pytest.raises(ValueError, match=r"train\.feature_cache_views is 0"):
        train(path, "--train.feature_cache_views", "0")
