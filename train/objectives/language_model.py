"""The loss that makes media tokens useful to the LLM: negative log-likelihood of the answer."""

from collections.abc import Sequence

from torch import Tensor

from omni.model import OmniModel
from omni.model.batch import Example


class LanguageModelObjective:
    """Mean negative log-likelihood of the answer tokens of the global batch, in nats."""

    def __call__(
        self, model: OmniModel, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        return model(batch, packed=packed, num_answer_tokens=num_answer_tokens), {}
