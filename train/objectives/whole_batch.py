"""Losses between all samples of a step, in the memory of a micro-batch.

Such a loss needs all rows of a step at once, while a process computes one micro-batch at a time. So each step embeds
everything without gradients first, takes the loss and its gradient with respect to the embeddings over the whole
global batch, and then goes through the micro-batches again with those gradients (GradCache, Gao et al. 2021, arXiv
2101.06983). That is exactly the big batch's gradient, in the memory of a micro-batch, and neither accumulation nor the
number of processes changes it. Frozen encoders run once; what is trained behind them twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from omni.encoders.media_input import MediaInput
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from train.objectives.context import HeldOutBatch, RunContext
from train.objectives.embedded_rows import EmbeddedRows, split_like
from train.runtime.seeding import seed_everything

FEWEST_ROWS = 2  # below, there is nothing to tell apart


@dataclass(frozen=True)
class _Planned:
    """What a micro-batch of the step contributes: gradients with respect to its embeddings, and its share."""

    gradients: dict[str, Tensor]
    share: float


class WholeBatchObjective(nn.Module):
    """Base of objectives whose loss is taken between the embeddings of all samples of a step.

    A subclass has `embed` and `whole_batch_loss`; `prepare`, `trains` and so on are as for any objective
    (`train.objectives.base`). It must be called with the same micro-batches, in the same order, as were planned: in a
    `WeightedSum` it therefore runs before the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self._planned: list[_Planned] = []
        self._parameter_gradients: list[tuple[nn.Parameter, Tensor]] = []
        self._value = torch.zeros(())
        self._metrics: dict[str, Tensor] = {}

    # --- what a subclass says ---

    def embed(self, model: Any, batch: Sequence[Example]) -> EmbeddedRows:
        """Return the embeddings of the samples of a micro-batch, which is not empty, with a row for each sample."""
        raise NotImplementedError

    def whole_batch_loss(self, model: Any, rows: EmbeddedRows) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss over the rows of a whole step, and metrics of it (scalars)."""
        raise NotImplementedError

    def loss_parameters(self, model: Any) -> list[nn.Parameter]:
        """Return the parameters that `whole_batch_loss` may use besides the embeddings; default: its own."""
        return [*self.parameters()]

    def can_compare(self, rows: EmbeddedRows) -> bool:
        """Return whether these rows have a loss. A held-out batch of which it does not hold counts for nothing."""
        return len(rows.groups) >= FEWEST_ROWS

    # --- a step: plan it over the whole batch, then one forward pass for each micro-batch ---

    def check_batch(self, global_batch_size: int) -> None:
        """Raise ValueError if a step has too few rows to tell apart: it would train nothing."""
        if global_batch_size < FEWEST_ROWS:
            raise ValueError(
                f"objective: {type(self).__name__} compares the rows of a step, but a step has {global_batch_size}: "
                "raise train.batch_size or train.accumulation_steps"
            )

    def begin_step(self, num_samples: int) -> None:
        """Forget the step before."""
        self._planned = []

    @torch.no_grad()
    def plan_step(
        self, model: EncoderStack, micro_batches: Sequence[Sequence[Example]], context: RunContext
    ) -> list[list[Example]]:
        """Embed the micro-batches of the step, on all processes, and plan it; see `PlanningObjective`."""
        encoded: list[list[Example]] = []
        parts: list[EmbeddedRows] = []
        for index, batch in enumerate(micro_batches):
            with context.autocast():
                encoded.append(encode_frozen(model, batch))
                context.seed_pass(index)  # as before the second pass, which does not encode
                parts.append(self.embed(model, encoded[-1]).detached() if batch else EmbeddedRows())
        of_all = context.gather(parts)
        in_order = [of_process[index] for index in range(len(parts)) for of_process in of_all]
        mine = [context.place(index) for index, batch in enumerate(encoded) if batch]
        context.seed_step()  # the same everywhere, for losses that draw negatives
        self.plan_rows(model, in_order, mine)
        return encoded

    def plan_rows(self, model: Any, parts: Sequence[EmbeddedRows], mine: Sequence[int]) -> None:
        """Take the loss over all micro-batches of the step, in order, and keep the gradients of those that are `mine`.

        Args:
            model: what is trained.
            parts: embeddings of every micro-batch of every process.
            mine: indices of those that this process will run, in order, without empty ones.
        """
        whole = EmbeddedRows.joined(parts, model.device)
        for value in whole.values.values():
            value.requires_grad_()
        with torch.enable_grad():
            loss, self._metrics = self.whole_batch_loss(model, whole)
        trained = [parameter for parameter in self.loss_parameters(model) if parameter.requires_grad]
        names = [*whole.values]
        targets = [*whole.values.values(), *trained]
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, targets, allow_unused=True, materialize_grads=True)
        else:
            gradients = [torch.zeros_like(target) for target in targets]
        self._value = loss.detach()
        self._parameter_gradients = [*zip(trained, gradients[len(names) :], strict=True)]
        by_part = split_like(dict(zip(names, gradients, strict=False)), parts)
        num_rows = max(1, len(whole.groups))
        self._planned = [_Planned(by_part[index], len(parts[index].groups) / num_rows) for index in mine]

    def forward(
        self, model: Any, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `train.objectives.Objective`.

        Without a planned step the loss is that of this batch alone, times its share of the answer tokens of the step.
        """
        embedded = self.embed(model, batch)
        if not self._planned:
            loss, metrics = self.whole_batch_loss(model, embedded)
            share = sum(example.num_answer_tokens for example in batch) / num_answer_tokens
            return loss * share, {name: value * share for name, value in metrics.items()}
        planned = self._planned.pop(0)
        # Its gradient is that of the whole loss; its value is replaced by this micro-batch's share of the loss.
        proxy = torch.zeros((), device=model.device)
        for name, values in embedded.values.items():
            proxy = proxy + (values * planned.gradients[name][:, : values.shape[1]]).sum()
        for parameter, gradient in self._parameter_gradients:
            proxy = proxy + (parameter * gradient).sum() * planned.share
        metrics = {name: value * planned.share for name, value in self._metrics.items()}
        return proxy - proxy.detach() + self._value * planned.share, metrics

    # --- held-out data ---

    def evaluate(self, model: Any, batches: Iterable[HeldOutBatch], context: RunContext) -> tuple[float, int]:
        """Return the loss of all held-out rows, in batches of the size of a step; the main process's is that of all."""
        embedded: list[tuple[int, EmbeddedRows]] = []
        for batch in batches:
            if batch.examples:
                with context.autocast():
                    found = self.embed(model, batch.examples).detached()
                embedded += zip(batch.places, found.single_rows(), strict=True)
        of_all = [row for rows in context.gather(embedded) for row in rows]
        if not context.is_main:
            return 0.0, 0
        return self.held_out_loss(model, of_all, context.global_batch_size, context.seed)

    def held_out_loss(
        self, model: Any, parts: Sequence[tuple[int, EmbeddedRows]], batch_size: int, seed: int
    ) -> tuple[float, int]:
        """Return the loss of embedded held-out rows in batches of `batch_size`, summed over rows, and their number.

        A last batch whose rows cannot be compared counts for nothing.

        Args:
            model: what is trained.
            parts: single rows, each with its place in the data, which decides the batches: so neither the number of
                processes nor the batches in which they were embedded change the loss.
            batch_size: rows of a batch.
            seed: of the run, for losses that draw negatives.
        """
        rows = [part for _, part in sorted(parts, key=lambda pair: pair[0])]
        total, count = 0.0, 0
        for start in range(0, len(rows), batch_size):
            batch = EmbeddedRows.joined(rows[start : start + batch_size], model.device)
            if self.can_compare(batch):
                seed_everything(seed, start)
                loss, _ = self.whole_batch_loss(model, batch)
                total, count = total + float(loss) * len(batch.groups), count + len(batch.groups)
        return total, count


def encode_frozen(model: EncoderStack, batch: Sequence[Example]) -> list[Example]:
    """Return the batch with the features of frozen encoders in place of their inputs, kept on the CPU."""
    frozen = {name for name in model.modalities if not model.modality(name).encoder.is_trained}
    parts = [[item for item in example.media if item.modality in frozen] for example in batch]
    encoded = model.encode_media([replace(example, media=part) for example, part in zip(batch, parts, strict=True)])
    found = []
    for example, done in zip(batch, encoded, strict=True):
        features = iter(done.media)
        media = [_on_cpu(next(features)) if item.modality in frozen else item for item in example.media]
        found.append(replace(example, media=media))
    return found


def _on_cpu(item: MediaInput) -> MediaInput:
    features = item.features
    if features is None or features.values.device.type == "cpu":
        return item
    return replace(item, features=type(features)(features.values.cpu(), features.mask.cpu()))
