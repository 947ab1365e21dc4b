"""One forward pass of training, as a module that accelerate can wrap."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.model.expert_balance import expert_balance
from omni.model.expert_routing import log_routing
from train.objectives.base import Objective, SampleObjective
from train.objectives.contract import ObjectiveContract


class TrainingStep(nn.Module):
    """Model and objective together.

    DistributedDataParallel only averages gradients of what runs inside its own `forward`. With the objective inside,
    an objective may call the model as often and through whichever method it likes.

    Raises:
        ValueError: the objective does not train this model.
    """

    def __init__(
        self,
        model: EncoderStack,
        objective: Objective,
        packed: bool,
        activation_context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.packed = packed
        self.activation_context = activation_context
        self.contract = ObjectiveContract(objective)
        self.contract.check_model(model)
        self.contract.begin_run(model)

    @property
    def sample_objective(self) -> SampleObjective | None:
        """The objective, or the part of it, that lays out samples itself."""
        return self.contract.sample_objective

    def forward(self, batch: Sequence[Example], num_answer_tokens: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a micro-batch (`Objective`) and metrics; for an empty one zero, with zero gradients."""
        anchor = touch_all_parameters(self)
        if not batch:
            return anchor, {}
        with log_routing(self.model, only_trained=True) as log, self.activation_context():
            loss, metrics = self.objective(self.model, batch, num_answer_tokens, packed=self.packed)
            balance, found = expert_balance(log, num_answer_tokens)
        return loss + balance.to(loss.device) + anchor.to(loss.device), {**metrics, **found}

    def objective_state(self) -> dict[str, Any]:
        """Return what the objective keeps: the weights of a projection that only training needs, for example."""
        return self.contract.state()

    def load_objective_state(self, state: dict[str, Any]) -> None:
        """Load what `objective_state` returned."""
        self.contract.load_state(state)


def touch_all_parameters(module: nn.Module) -> Tensor:
    """Return zero, as a function of every trainable parameter.

    Processes wait for each other's gradient of every parameter. A process whose micro-batch lacks a modality would
    never have one for that modality's adapter, and all would hang (microsoft/DeepSpeed issue 7170). Adding this zero
    to the loss gives every parameter a gradient on every process. It also makes 1 process behave like several: without
    it the optimiser would skip unused adapters on 1 process but not on 2.
    """
    total = torch.zeros(())
    for parameter in module.parameters():
        if parameter.requires_grad:
            # The sum over an empty slice is 0 whatever the values are: infinite ones times 0 would give NaN.
            total = total.to(parameter.device) + parameter.flatten()[:0].sum()
    return total
