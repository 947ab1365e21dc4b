"""What an objective is. A class of the user's own with the same call needs no base class and no registry."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from omni.batching import Example
from omni.model import OmniModel


class Objective(Protocol):
    """A scalar to minimise, from a model and a micro-batch."""

    def __call__(
        self, model: OmniModel, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss and metrics to log (scalars, already divided like the loss).

        The loss is this micro-batch's *part* of the loss of a whole step: sums over micro-batches and processes must
        give it. So it is divided by `num_answer_tokens`, the answer tokens of the global batch.
        """
        ...
