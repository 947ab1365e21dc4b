"""How several processes share one run: plain copies, DeepSpeed's ZeRO, FSDP2. All give the same numbers."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from omni.model.batch import Example
from omni.recipe.schema import TrainConfig
from train.run.step import TrainingStep
from train.strategies.launch import CONFIGS, Launch, read_launch
from train.strategies.lockstep import Lockstep
from train.strategies.plain import PlainStrategy
from train.strategies.sharded_llm import shard_llm

__all__ = ["Launch", "Strategy", "make_strategy", "read_launch", "shard_llm"]


class Strategy(Protocol):
    """Runs the training step and updates what is trained. All processes call every method, in the same order."""

    lockstep: Lockstep | None
    optimizer: torch.optim.Optimizer

    def forward_backward(
        self, batch: Sequence[Example], num_answer_tokens: int, *, is_last: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forward and backward of one micro-batch of this process; returns its loss and metrics."""
        ...

    def clip_gradients(self, limit: float) -> float:
        """The norm of the step's gradients, which are scaled down to `limit` before the update."""
        ...

    def update(self) -> None:
        """One step of the optimiser."""
        ...

    def discard_gradients(self) -> None:
        """Forget the step's gradients, in place of an update."""
        ...

    def optimizer_state(self) -> dict[str, Any]:
        """The optimiser's whole state, in the form that torch's optimisers have, whatever the strategy."""
        ...


def make_strategy(
    accelerator: Accelerator,
    launch: Launch,
    training_step: TrainingStep,
    optimizer: torch.optim.Optimizer,
    lockstep: Lockstep | None,
    config: TrainConfig,
) -> Strategy:
    """The strategy that the launcher asks for; `lockstep` is what `shard_llm` gave, if the LLM is spread.

    Raises:
        ValueError: it does not go together with the recipe.
    """
    if lockstep is not None and config.compile:
        raise ValueError(
            "train.compile: layers that are spread over processes (ZeRO-3, FSDP2) are not compiled here; "
            f"set it to false, or launch with {CONFIGS}zero2.yaml or ddp.yaml"
        )
    if launch.zero_stage:
        from train.strategies.zero import ZeroStrategy  # which needs deepspeed, an optional extra

        return ZeroStrategy(accelerator, training_step, optimizer, lockstep, launch, config.max_grad_norm)
    return PlainStrategy(accelerator, training_step, optimizer, lockstep)
