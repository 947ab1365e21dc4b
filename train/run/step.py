"""One forward pass of training, as a module that accelerate can wrap."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import Tensor, nn

from omni.model import OmniModel
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.model.expert_balance import expert_balance
from omni.model.expert_routing import log_routing
from train.objectives import Objective
from train.objectives.base import find_sample_objective


class TrainingStep(nn.Module):
    """Model and objective together.

    DistributedDataParallel only averages gradients of what runs inside its own `forward`. With the objective inside,
    an objective may call the model as often and through whichever method it likes.
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
        self.sample_objective = find_sample_objective(objective)
        if self.sample_objective is None and not isinstance(model, OmniModel):
            name = type(objective).__name__
            raise ValueError(
                f"objective: {name} is for a model with an LLM; a joint space is trained by objective: bind"
            )
        if self.sample_objective is not None:
            self.sample_objective.begin_run(model)

    def forward(self, batch: Sequence[Example], num_answer_tokens: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the micro-batch (see `Objective`), and metrics; of an empty one: zero, with zero gradients."""
        anchor = touch_all_parameters(self)
        if not batch:
            return anchor, {}
        with log_routing(self.model, only_trained=True) as log, self.activation_context():
            loss, metrics = self.objective(self.model, batch, num_answer_tokens, packed=self.packed)
            balance, found = expert_balance(log, num_answer_tokens)
        return loss + balance.to(loss.device) + anchor.to(loss.device), {**metrics, **found}

    def objective_state(self) -> dict[str, Tensor]:
        """Weights of the objective itself: those of a projection that only training needs, for example; often none."""
        return self.objective.state_dict() if isinstance(self.objective, nn.Module) else {}

    def load_objective_state(self, state: dict[str, Tensor]) -> None:
        """Load what `objective_state` gave."""
        if isinstance(self.objective, nn.Module):
            self.objective.load_state_dict(state)


def touch_all_parameters(module: nn.Module) -> Tensor:
    """Zero, as a function of every trainable parameter.

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


def seed_everything(*parts: int) -> None:
    """Seed Python, NumPy and torch (all devices) from `parts`.

    Called before every forward pass with the seed, the step and the place in the global batch: so dropout depends on
    nothing else, and resuming or another number of processes gives the very same numbers without saved generators.
    """
    seed = 0
    for part in parts:
        seed = (seed * 1_000_003 + part + 1) % 2**31
    set_seed(seed)
