"""The folders that a run writes: last/ to go on from, best/ to use, and copies of steps; each with its model card."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from omni.config import to_dict
from omni.model.card import ModelCard
from omni.recipe.schema import Recipe
from train.data.packing import PACKS, save_packs
from train.data.run_data import RunData
from train.data.step_plan import StepPlan
from train.recipe import write_recipe
from train.run import checkpoints
from train.run.learner import Learner
from train.run.metrics import truncate_lines
from train.run.model_card import training_card
from train.run.non_finite import NON_FINITE_STEPS
from train.run.records import BAD_SAMPLES, RunRecords
from train.runtime.save_errors import explain_failure
from train.strategies import StepRunner


@dataclass(frozen=True)
class RunFolder:
    """The output folder of a run, and all that is saved in it. All processes call every method."""

    path: Path
    recipe: Recipe
    accelerator: Accelerator
    data: RunData
    fingerprints: dict[str, Any]  # of the data; see `RunData.fingerprints`
    steps: StepPlan
    learner: Learner
    runner: StepRunner

    @property
    def last(self) -> Path:
        """The checkpoint that the same command goes on from."""
        return self.path / checkpoints.LAST

    @property
    def best(self) -> Path:
        """The model with the lowest evaluation loss, or the last one where there is no evaluation."""
        return self.path / checkpoints.BEST

    def begin(self, first_step: int, is_new: bool) -> None:
        """Write the recipe and the packs; remove what an earlier run left, or what came after `first_step`.

        Raises:
            SaveError: the disk is full or not writable.
        """
        if self.accelerator.is_main_process:
            if is_new:
                checkpoints.clear_run(self.path)
            for name in (BAD_SAMPLES, NON_FINITE_STEPS):
                truncate_lines(self.path / name, first_step)
            with explain_failure(self.path / "recipe.yaml"):
                write_recipe(self.recipe, self.path / "recipe.yaml")
            if self.steps.packs is not None:
                with explain_failure(self.path / PACKS):
                    save_packs(self.steps.packs, self.path / PACKS)
        self.accelerator.wait_for_everyone()

    def save(self, records: RunRecords) -> None:
        """Write last/: model, optimiser and records, from which the run can continue.

        Raises:
            SaveError: the disk is full or not writable.
        """
        optimizer_state = self.runner.optimizer_state()  # which all processes may have a part of
        if self.accelerator.is_main_process:
            self.learner.model.card = self._card(records)
            state = {
                "recipe": asdict(self.recipe),
                "global_batch_size": self.steps.global_batch_size,
                "card_before": to_dict(self.learner.card_before),
                "streams": self.data.streams_state(),
                "data": self.fingerprints,
                **records.as_json(),
            }
            checkpoints.save_checkpoint(self.last, self.learner.training_step, optimizer_state, state)
            checkpoints.keep_step(self.path, records.state.step, self.recipe.train.keep)
        self.accelerator.wait_for_everyone()

    def save_best(self, records: RunRecords) -> None:
        """Write best/: the model alone.

        Raises:
            SaveError: the disk is full or not writable.
        """
        if self.accelerator.is_main_process:
            self.learner.model.card = self._card(records)
            checkpoints.save_model_only(self.best, self.learner.model)
        self.accelerator.wait_for_everyone()

    def _card(self, records: RunRecords) -> ModelCard:
        return training_card(
            self.learner.card_before,
            self.data.train,
            self.recipe.train,
            step=records.state.step,
            global_batch=self.steps.global_batch,
            evaluation_loss=records.state.evaluation_loss,
        )
