"""A strategy of one's own: a class in the table, which a run then reads, asks and trains with."""

import os
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from omni.llm.language_model import LanguageModel
from omni.recipe.schema import TrainConfig
from tests.train.runs import metrics, mixed_rows, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.strategies import STRATEGIES, Lockstep, StepRunner, Strategy, read_strategy
from train.strategies.launch import plain_processes
from train.strategies.plain import PlainRunner


class CountingRunner(PlainRunner):
    """Counts its updates."""

    num_updates = 0

    def update(self) -> None:
        super().update()
        self.num_updates += 1


class OwnStrategy(Strategy):
    """Trains as one process does, and takes no compiled LLM."""

    distributed_types: ClassVar[tuple[DistributedType, ...]] = (DistributedType.NO, DistributedType.MEGATRON_LM)

    def __init__(self, option: str) -> None:
        self.option = option

    @classmethod
    def from_environment(cls) -> Self:
        return cls(os.environ.get("OWN_OPTION", "none"))

    def check(self, llm: LanguageModel | None, config: TrainConfig) -> None:
        if config.compile:
            raise ValueError(f"train.compile does not go with my strategy {self.option}")

    def make_runner(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
        max_grad_norm: float | None,
    ) -> StepRunner:
        return CountingRunner(accelerator, training_step, optimizer, lockstep)


@pytest.fixture
def own_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in OwnStrategy.distributed_types:
        monkeypatch.setitem(STRATEGIES, kind, OwnStrategy)
    monkeypatch.setenv("OWN_OPTION", "seven")


@pytest.mark.usefixtures("own_strategy")
def test_a_run_trains_with_a_strategy_of_ones_own_and_heeds_its_refusals(tmp_path: Path, tiny_llm: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, write_manifest(tmp_path / "data", mixed_rows(8)), steps=3)
    trainer = Trainer(load_recipe(recipe))
    trainer.run()
    runner: Any = trainer.runner
    assert runner.num_updates == 3
    assert sorted(metrics(trainer.output_dir, "loss")) == [1, 2, 3]
    with pytest.raises(ValueError, match="does not go with my strategy seven"):
        Trainer(load_recipe(recipe, ["--train.compile", "true", "--train.resume", "never"]))


@pytest.mark.usefixtures("own_strategy")
def test_it_is_read_where_the_launcher_asks_for_it_and_accelerate_does_not_see_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_MEGATRON_LM", "true")
    strategy = read_strategy()
    assert isinstance(strategy, OwnStrategy)
    assert strategy.option == "seven"
    with plain_processes():
        assert "ACCELERATE_USE_MEGATRON_LM" not in os.environ


def test_what_no_class_stands_for_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_MEGATRON_LM", "true")
    with pytest.raises(ValueError, match=r"asks for MEGATRON_LM, which is not supported; use one of NO, .*FSDP"):
        read_strategy()
