"""One update of the weights: gradients over the micro-batches of a step, clipped, and applied where they are finite."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omni.model.batch import Example
from omni.model.expert_balance import update_usage
from omni.recipe.schema import TrainConfig
from train.objectives.context import RunContext
from train.run.learner import Learner
from train.run.non_finite import NonFiniteStep
from train.strategies import StepRunner


@dataclass(frozen=True)
class Update:
    """What came of a step, the same on all processes.

    Args:
        loss: mean over the answer tokens of the global batch, in nats; NaN if there was none.
        metrics: what the objective logs.
        gradient_norm: before clipping.
        signal_number: that asks to stop, or 0.
        refused: why the weights were left as they are; None = they were updated.
    """

    loss: float
    metrics: dict[str, float]
    gradient_norm: float
    signal_number: int
    refused: NonFiniteStep | None = None


@dataclass(frozen=True)
class _Report:
    """What one process tells all others about its part of a step."""

    loss: float
    metrics: dict[str, float]
    signal_number: int
    suspects: list[str]  # ids of the samples whose loss is not finite


@dataclass(frozen=True)
class Updates:
    """Makes the updates of a run.

    Args:
        learner: what is trained.
        runner: what runs it.
        config: `train` of the recipe.
        signal_number: the number of the signal that came to this process, or 0.
    """

    learner: Learner
    runner: StepRunner
    config: TrainConfig
    signal_number: Callable[[], int]

    def make(
        self, micro_batches: Sequence[list[Example]], num_samples: int, num_tokens: int, context: RunContext
    ) -> Update:
        """Update the weights by a step of `num_samples` samples with `num_tokens` answer tokens, of all processes."""
        contract = self.learner.training_step.contract
        contract.begin_step(num_samples)
        if not num_tokens:
            return Update(math.nan, {}, 0.0, max(context.gather(self.signal_number())))
        if contract.plans_steps:
            self.learner.training_step.train()
            micro_batches = contract.plan_step(self.learner.model, micro_batches, context)
        reports = context.gather(self._accumulate_gradients(micro_batches, num_tokens, context))
        loss = sum(report.loss for report in reports)
        metrics = _sum_metrics([report.metrics for report in reports])
        signal_number = max(report.signal_number for report in reports)
        limit = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        norm = self.runner.clip_gradients(limit)
        if math.isfinite(loss) and math.isfinite(norm):
            self.runner.update()
            update_usage(self.learner.model, metrics)
            return Update(loss, metrics, norm, signal_number)
        self.runner.discard_gradients()
        suspects = [name for report in reports for name in report.suspects]
        if not suspects:
            all_ids = context.gather([example.id for batch in micro_batches for example in batch])
            suspects = [name for names in all_ids for name in names]
        refused = NonFiniteStep(context.step + 1, loss, norm, suspects)
        return Update(loss, metrics, norm, signal_number, refused)

    def _accumulate_gradients(
        self, micro_batches: Sequence[list[Example]], num_tokens: int, context: RunContext
    ) -> _Report:
        """Run every micro-batch forward and backward; gradients are exchanged between processes after the last."""
        self.learner.training_step.train()
        losses, metrics = [], []
        for index, batch in enumerate(micro_batches):
            context.seed_pass(index)
            is_last = index == len(micro_batches) - 1
            loss, found = self.runner.forward_backward(batch, num_tokens, is_last=is_last)
            losses.append(loss)
            metrics.append({name: float(value) for name, value in found.items()})
        values = [float(loss) for loss in losses]
        suspects = [
            example.id
            for value, batch in zip(values, micro_batches, strict=True)
            if not math.isfinite(value)
            for example in batch
        ]
        return _Report(math.fsum(values), _sum_metrics(metrics), self.signal_number(), suspects)


def _sum_metrics(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    return {name: math.fsum(part.get(name, 0.0) for part in parts) for name in names}
