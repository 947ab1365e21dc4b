"""The learning rate over the steps of a run, as a pure function."""

import math

from omni.recipe.schema import TrainConfig


def learning_rate(step: int, num_steps: int, config: TrainConfig) -> float:
    """The learning rate of `step` (0 is the first) of `num_steps`, where no parameter group says otherwise."""
    return config.lr * schedule_share(step, num_steps, config)


def schedule_share(step: int, num_steps: int, config: TrainConfig) -> float:
    """What share of its highest learning rate a parameter has at `step`: linear warm-up, then the recipe's schedule.

    The cosine is that of Loshchilov and Hutter (2017) without restarts. The warm-up begins above 0, so no step is
    without effect, and the end of the schedule falls just after the last step for the same reason.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(num_steps - config.warmup_steps, 1)
    progress = min(progress, 1.0)
    remaining = (1 + math.cos(math.pi * progress)) / 2 if config.schedule == "cosine" else 1 - progress
    return config.final_lr_share + (1 - config.final_lr_share) * remaining
