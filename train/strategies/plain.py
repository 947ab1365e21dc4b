"""One process, or DistributedDataParallel: every process has all that is trained, and gradients are averaged."""

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn

from omni.model.batch import Example
from train.strategies.base import StepRunner, Strategy
from train.strategies.lockstep import Lockstep


class PlainRunner:
    """Runs and updates what is trained; see `train.strategies.base.StepRunner`."""

    def __init__(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
    ) -> None:
        self.accelerator = accelerator
        self.lockstep = lockstep
        self.optimizer = optimizer
        # in the optimiser's order, which is the same in a run that is continued: the norm is a sum, and rounds
        self.trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        # Frozen weights and buffers are equal everywhere: not even their first broadcast is needed.
        frozen = [name for name, parameter in training_step.named_parameters() if not parameter.requires_grad]
        frozen += [name for name, _ in training_step.named_buffers()]
        torch.nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(training_step, frozen)
        # Accelerate adds automatic mixed precision only: the model was built on its device, and on GPUs it refuses to
        # wrap one of which a part is spread over processes, though DistributedDataParallel does not look at that part.
        step = accelerator.prepare_model(training_step, device_placement=False, evaluation_mode=True)
        if accelerator.num_processes > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 renames broadcast_buffers
                # Broadcasting buffers would also make encoders hash their weights again.
                step = torch.nn.parallel.DistributedDataParallel(step, broadcast_buffers=False)
        self._wrapped_step = step
        if accelerator.num_processes > 1:
            # After its first backward pass DistributedDataParallel puts gradients into its buckets in another order,
            # and more than two processes then add them up in another order. A run that goes on would round its first
            # step otherwise than one that never stopped, so that first pass is none of the steps.
            self.forward_backward([], 1, is_last=True)
            self.discard_gradients()

    def forward_backward(
        self, batch: Sequence[Example], num_answer_tokens: int, *, is_last: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forward and backward of a micro-batch; gradients are exchanged after the last of a step."""
        with contextlib.nullcontext() if is_last else self.accelerator.no_sync(self._wrapped_step):
            loss, metrics = self._wrapped_step(batch, num_answer_tokens)
            anchor = None if self.lockstep is None else self.lockstep.finish()
            total = loss if anchor is None else loss + anchor.to(loss.device)
            # Processes are averaged by DistributedDataParallel; the division by num_tokens already makes the mean.
            self.accelerator.backward(total * self.accelerator.num_processes)
        return loss.detach(), metrics

    def clip_gradients(self, limit: float) -> float:
        """Scale gradients down to the norm `limit`; returns the norm they had, over all that is trained."""
        return float(torch.nn.utils.clip_grad_norm_(self.trained, limit))

    def update(self) -> None:
        """One step of the optimiser; gradients are gone afterwards."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def discard_gradients(self) -> None:
        """Forget the gradients of this step."""
        self.optimizer.zero_grad()

    def optimizer_state(self) -> dict[str, Any]:
        """As torch's optimizers give it, whole, on the main process at least; all processes call it."""
        return self.optimizer.state_dict()


@dataclass(frozen=True)
class PlainStrategy(Strategy):
    """One process, or copies of what is trained on each; see `train.strategies.base.Strategy`."""

    distributed_types: ClassVar[tuple[DistributedType, ...]] = (
        DistributedType.NO,
        *(kind for kind in DistributedType if kind.name.startswith("MULTI_")),
    )

    @classmethod
    def from_environment(cls) -> Self:
        """There are no options."""
        return cls()

    def make_runner(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
        max_grad_norm: float | None,
    ) -> StepRunner:
        """See `train.strategies.base.Strategy`."""
        return PlainRunner(accelerator, training_step, optimizer, lockstep)
