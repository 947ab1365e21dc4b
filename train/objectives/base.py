"""The contract of objectives. A class of the user's own needs no base class and no registry.

`Objective` is what every objective is: a call. Each protocol after it is one thing that an objective may have besides,
recognised by the names of its methods, and says what happens without it. The parts of an objective that is made of
others (`CompositeObjective`, such as `WeightedSum`) are asked too. The run asks through
`train.objectives.contract.ObjectiveContract`, and knows no objective by its class.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from omni.model.batch import Example
from omni.samples.messages import Sample
from train.objectives.context import HeldOutBatch, RunContext

ModelKind = Literal["llm", "joint_space", "any"]


class Objective(Protocol):
    """A scalar to minimise, from a model (an `OmniModel`, or a `JointSpace`) and a micro-batch."""

    def __call__(
        self, model: Any, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and metrics to log (scalars, already divided like the loss).

        The loss is this micro-batch's *part* of the loss of a whole step: sums over micro-batches and processes must
        give it. So it is divided by `num_answer_tokens`, the answer tokens of the global batch.
        """
        ...


@runtime_checkable
class CompositeObjective(Objective, Protocol):
    """An objective that is made of others. Without `objectives` it is one objective by itself."""

    objectives: Sequence[Objective]


@runtime_checkable
class ModelKindObjective(Objective, Protocol):
    """An objective that says which models it trains: those with an LLM, joint spaces, or any.

    Without `trains` it is "any" for one that prepares its own samples, and "llm" for others.
    """

    trains: ModelKind


@runtime_checkable
class LLMUseObjective(Objective, Protocol):
    """An objective that says whether its loss takes a pass through the LLM, which memory is estimated by.

    Without `runs_llm` it does.
    """

    runs_llm: bool


@runtime_checkable
class RunBeginningObjective(Objective, Protocol):
    """An objective that looks at the model before training. Without `begin_run` nothing happens."""

    def begin_run(self, model: Any) -> None:
        """Look at the model, which has the weights that the run begins with or, continued, goes on with.

        Raises:
            ValueError: the model is none that this objective can train.
        """
        ...


@runtime_checkable
class BatchCheckingObjective(Objective, Protocol):
    """An objective that cannot do with any size of a step. Without `check_batch` any will do."""

    def check_batch(self, global_batch_size: int) -> None:
        """Raise ValueError if a step of so many samples (with `train.pack_tokens`: packs) would train nothing."""
        ...


@runtime_checkable
class StepBeginningObjective(Objective, Protocol):
    """An objective that is told when a step begins. Without `begin_step` nothing happens."""

    def begin_step(self, num_samples: int) -> None:
        """Take note that a step begins, of so many usable samples in the global batch."""
        ...


@runtime_checkable
class SampleObjective(Objective, Protocol):
    """An objective that lays out its samples itself, such as preference pairs.

    Without `prepare` a sample is a conversation that ends with its answer. With it, the loss of a step is the mean over
    its samples, so that `num_answer_tokens` does not divide it, and where there is no `evaluate`, the held-out loss is
    that mean too. `begin_step` tells the number of samples.
    """

    def prepare(self, model: Any, sample: Sample) -> Example:
        """Lay out a sample and preprocess its media, in data-loading workers.

        Raises:
            SampleError: the sample cannot be used.
        """
        ...


@runtime_checkable
class PlanningObjective(Objective, Protocol):
    """An objective that has to see the whole step, of all processes, before its micro-batches run.

    `train.objectives.WholeBatchObjective` does it for losses over embeddings. Without `plan_step` the micro-batches run
    one by one.
    """

    def plan_step(
        self, model: Any, micro_batches: Sequence[Sequence[Example]], context: RunContext
    ) -> list[list[Example]]:
        """Plan the step, without gradients of the model's; all processes call it, after `begin_step`.

        Args:
            model: what is trained, in training mode.
            micro_batches: those of this process, in order; some may be empty.
            context: the processes and seeds of the run.

        Returns:
            the micro-batches that will run in their place, for example with the features of frozen encoders.
        """
        ...


@runtime_checkable
class EvaluatingObjective(Objective, Protocol):
    """An objective with a held-out loss of its own.

    Without `evaluate` the held-out loss is the mean over the samples for a `SampleObjective`, and for others the mean
    negative log-likelihood of the answer tokens.
    """

    def evaluate(self, model: Any, batches: Iterable[HeldOutBatch], context: RunContext) -> tuple[float, int]:
        """Return this process's sum of the held-out loss, and the count that it is the sum over.

        All processes call it, without gradients and with the model in evaluation mode; each has its part of the
        batches, all of which must be taken. The sums and the counts of all processes are added up.
        """
        ...


@runtime_checkable
class StatefulObjective(Objective, Protocol):
    """An objective that keeps something from step to step, which a run that is continued must have again.

    Without these two methods the state of a torch module is its `state_dict`, and other objectives have none.
    """

    def objective_state(self) -> dict[str, Any]:
        """Return what to save: tensors, and values of Python's own plain types."""
        ...

    def load_objective_state(self, state: dict[str, Any]) -> None:
        """Take back what `objective_state` returned; called after `begin_run`."""
        ...


def parts_of(objective: Objective) -> list[Objective]:
    """Return an objective and all that it is made of."""
    found = [objective]
    if isinstance(objective, CompositeObjective):
        found += [part for one in objective.objectives for part in parts_of(one)]
    return found


def runs_llm(objective: Objective) -> bool:
    """Return whether the loss takes a pass through the LLM; see `LLMUseObjective`."""
    return objective.runs_llm if isinstance(objective, LLMUseObjective) else True


def state_of(objective: Objective) -> dict[str, Any]:
    """Return what an objective keeps from step to step; see `StatefulObjective`."""
    if isinstance(objective, StatefulObjective):
        return objective.objective_state()
    return objective.state_dict() if isinstance(objective, nn.Module) else {}


def load_state(objective: Objective, state: dict[str, Any]) -> None:
    """Give an objective what `state_of` returned."""
    if isinstance(objective, StatefulObjective):
        objective.load_objective_state(state)
    elif isinstance(objective, nn.Module):
        objective.load_state_dict(state)
