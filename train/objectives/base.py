"""What an objective is. A class of the user's own with the same call needs no base class and no registry."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from omni.model.batch import Example
from omni.samples.messages import Sample


class Objective(Protocol):
    """A scalar to minimise, from a model (an `OmniModel`, or a `JointSpace`) and a micro-batch."""

    def __call__(
        self, model: Any, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss and metrics to log (scalars, already divided like the loss).

        The loss is this micro-batch's *part* of the loss of a whole step: sums over micro-batches and processes must
        give it. So it is divided by `num_answer_tokens`, the answer tokens of the global batch.
        """
        ...


@runtime_checkable
class SampleObjective(Objective, Protocol):
    """An objective over whole samples that are more than one conversation with its answer, such as preference pairs.

    The loss of a step is the mean over its samples, so `num_answer_tokens` does not divide it, and the evaluation
    during training takes this loss instead of that of the answer tokens. One that stands in a `WeightedSum` is found.
    """

    def begin_run(self, model: Any) -> None:
        """Called once, when the model has the weights that it begins with (or, continued, goes on with)."""
        ...

    def begin_step(self, num_samples: int) -> None:
        """Called before each step with the number of usable samples in the global batch."""
        ...

    def prepare(self, model: Any, sample: Sample) -> Example:
        """Lay out a sample and preprocess its media, in data-loading workers.

        Raises:
            SampleError: the sample cannot be used.
        """
        ...


def runs_llm(objective: Objective) -> bool:
    """Whether its loss takes a pass through the LLM, which memory is estimated by: unless it has `runs_llm = False`."""
    return getattr(objective, "runs_llm", True)


def find_sample_objective(objective: Objective) -> SampleObjective | None:
    """`objective` itself, or the one within it, that is a `SampleObjective`.

    Raises:
        ValueError: there are several, which would each prepare the samples in their own way.
    """
    parts = list(objective.modules()) if isinstance(objective, nn.Module) else [objective]
    found = [part for part in parts if isinstance(part, SampleObjective)]
    if len(found) > 1:
        names = [type(part).__name__ for part in found]
        raise ValueError(f"objective: {names} each prepare samples in their own way; use one of them")
    return found[0] if found else None
