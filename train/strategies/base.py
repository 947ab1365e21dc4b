"""The contract of a strategy: how the processes of a run share the work. All of them give the same numbers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn

from omni.llm.language_model import LanguageModel
from omni.model.batch import Example
from omni.recipe.schema import TrainConfig
from train.strategies.lockstep import Lockstep


class StepRunner(Protocol):
    """Runs the training step and updates what is trained. All processes call every method, in the same order.

    Attributes:
        optimizer: the optimiser, whose groups the schedule sets the learning rate of.
    """

    optimizer: torch.optim.Optimizer

    def forward_backward(
        self, batch: Sequence[Example], num_answer_tokens: int, *, is_last: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run one micro-batch of this process forward and backward; return its loss and metrics."""
        ...

    def clip_gradients(self, limit: float) -> float:
        """Return the norm of the step's gradients, which are scaled down to `limit` before the update."""
        ...

    def update(self) -> None:
        """Make one step of the optimiser."""
        ...

    def discard_gradients(self) -> None:
        """Forget the step's gradients, in place of an update."""
        ...

    def optimizer_state(self) -> dict[str, Any]:
        """Return the optimiser's whole state, in the form that torch's optimisers have, whatever the strategy."""
        ...


class Strategy(ABC):
    """How the processes of a run share the work, with the options that the launcher gives.

    A new one is a subclass in the table of `train.strategies.launch`; nothing else names strategies.

    Attributes:
        distributed_types: accelerate's names of what this class stands for.
        shards_llm: whether the layers of the LLM are spread over the processes; it is then loaded on the CPU first.
        offloads: whether something is kept in the CPU's memory, for which there must be at least two processes.
    """

    distributed_types: ClassVar[tuple[DistributedType, ...]]

    @classmethod
    @abstractmethod
    def from_environment(cls) -> Self:
        """Read the options from the launcher's environment variables.

        Raises:
            ValueError: a package is not installed, or an option is not supported.
        """

    @property
    def shards_llm(self) -> bool:
        return False

    @property
    def offloads(self) -> bool:
        return False

    def check(self, llm: LanguageModel | None, config: TrainConfig) -> None:
        """Refuse what does not go together with this strategy; `llm` is None where the model has none.

        Raises:
            ValueError: naming the key of the recipe, and the strategies that go with it.
        """
        return

    def shard_llm(self, llm: LanguageModel, device: torch.device) -> Lockstep | None:
        """Spread the layers of `llm` over all processes and move the rest of it to `device`; None = nothing is spread.

        Called if `shards_llm`, before anything runs the LLM.
        """
        return None

    @abstractmethod
    def make_runner(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
        max_grad_norm: float | None,
    ) -> StepRunner:
        """Return what runs the steps.

        Args:
            accelerator: the processes, as accelerate made them.
            training_step: called with a micro-batch and the answer tokens of the global batch; see `train.run.step`.
            optimizer: over what is trained, with its state where the run goes on.
            lockstep: what `shard_llm` returned.
            max_grad_norm: what gradients are clipped to; None = not at all.

        Raises:
            ValueError: an optimiser that does not go together with this strategy.
        """
