"""The weights a run began with, to be put in the place of the trained ones for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from omni.model import OmniModel


class ReferenceWeights(nn.Module):
    """A frozen copy of what `model` trains, as it is now.

    Why a copy and not "the trained parts switched off": a new LoRA starts as zero, so its copy *is* the LLM with its
    LoRA off. But without its adapter a medium has no tokens at all, and a LoRA that an earlier stage trained belongs
    to the model to stay near to. The weights at the beginning of the run are right in every case, and small.

    The copies are buffers, so that they are saved and loaded with the state of the objective: a run that is continued
    keeps the reference of its beginning.
    """

    def __init__(self, model: OmniModel) -> None:
        super().__init__()
        # Parameters in a plain list: they belong to the model, not to this module.
        self._trained: list[nn.Parameter] = []
        for name, parameter in model.trainable_parameters().items():
            self.register_buffer(name.replace(".", "/"), parameter.detach().clone())  # no dots in names of buffers
            self._trained.append(parameter)

    @contextmanager
    def in_place(self, model: OmniModel) -> Iterator[None]:
        """Within the block, without gradients, `model` is the reference: first weights, no dropout."""
        trained = [parameter.data for parameter in self._trained]
        was_training = model.training
        # Automatic mixed precision remembers its low-precision copies by parameter, and would mix up the two.
        torch.clear_autocast_cache()
        try:
            for parameter, value in zip(self._trained, self.buffers(), strict=True):
                parameter.data = value.to(parameter)
            model.train(False)
            with torch.no_grad():
                yield
        finally:
            for parameter, value in zip(self._trained, trained, strict=True):
                parameter.data = value
            model.train(was_training)
            torch.clear_autocast_cache()
