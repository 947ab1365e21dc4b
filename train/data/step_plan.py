"""How many steps a run has, and which draws each of them takes."""

import math
from dataclasses import dataclass

from omni.recipe.schema import TrainConfig
from train.data.mixing import MicroBatches, MixingPlan
from train.data.packing import PackedMicroBatches, PackPlan, describe_global_batch


@dataclass(frozen=True)
class StepPlan:
    """The steps of a run.

    Args:
        plan: the draws.
        packs: which of them stand in which pack; None = samples are not put together before training.
        global_batch_size: samples of a step, or packs.
        global_batch: the same in words.
        num_steps: of the whole run.
        num_draws: that these steps take.
    """

    plan: MixingPlan
    packs: PackPlan | None
    global_batch_size: int
    global_batch: str
    num_steps: int
    num_draws: int

    def num_draws_until(self, step: int) -> int:
        """Return the number of draws that the first `step` steps take."""
        size = step * self.global_batch_size
        return min(size, self.num_draws) if self.packs is None else self.packs.num_draws(size)

    def epochs_until(self, step: int) -> float:
        """Return how often the first `step` steps go through the data."""
        return self.num_draws_until(step) / self.plan.epoch_length

    def micro_batches(
        self, config: TrainConfig, process_index: int, num_processes: int, first_step: int
    ) -> MicroBatches | PackedMicroBatches:
        """Return the draws of one process from `first_step` on, one list for each forward pass."""
        place = {
            "accumulation_steps": config.accumulation_steps,
            "process_index": process_index,
            "num_processes": num_processes,
            "first_step": first_step,
            "num_steps": self.num_steps,
        }
        if self.packs is not None:
            return PackedMicroBatches(self.plan, self.packs, **place)
        return MicroBatches(self.plan, batch_size=config.batch_size, num_draws=self.num_draws, **place)


def plan_steps(plan: MixingPlan, packs: PackPlan | None, config: TrainConfig, global_batch_size: int) -> StepPlan:
    """Return the steps that a recipe asks for, over the draws of `plan` or, where there are packs, over these."""
    num_draws = draws_of_epochs(plan, config)
    if packs is not None:
        num_steps = config.steps or math.ceil(len(packs) / global_batch_size)
        num_draws = len(packs.positions)
    elif num_draws is not None:
        num_steps = math.ceil(num_draws / global_batch_size)
    else:
        assert config.steps is not None  # a recipe has one of the two
        num_steps, num_draws = config.steps, config.steps * global_batch_size
    words = describe_global_batch(config, global_batch_size)
    return StepPlan(plan, packs, global_batch_size, words, num_steps, num_draws)


def draws_of_epochs(plan: MixingPlan, config: TrainConfig) -> int | None:
    """Return the draws of `train.epochs`; None where the recipe counts steps."""
    return None if config.epochs is None else max(1, round(config.epochs * plan.epoch_length))
