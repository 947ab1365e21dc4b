"""The held-out losses of objectives that have none of their own."""

from collections.abc import Iterable
from typing import Any

from train.objectives.base import SampleObjective, StepBeginningObjective
from train.objectives.context import HeldOutBatch, RunContext


def answer_token_loss(model: Any, batches: Iterable[HeldOutBatch], context: RunContext) -> tuple[float, int]:
    """Return the negative log-likelihood in nats of all answer tokens, summed, and their number."""
    total, count = 0.0, 0
    for batch in batches:
        if batch.examples:
            with context.autocast():
                total += float(model(batch.examples, packed=context.packed, num_answer_tokens=1))
            count += sum(example.num_answer_tokens for example in batch.examples)
    return total, count


def sample_loss(
    objective: SampleObjective, model: Any, batches: Iterable[HeldOutBatch], context: RunContext
) -> tuple[float, int]:
    """Return the objective's loss, summed over samples, and the number of samples."""
    total, count = 0.0, 0
    for batch in batches:
        if batch.examples:
            if isinstance(objective, StepBeginningObjective):
                objective.begin_step(num_samples=1)  # so that the sum over the batch is not divided
            with context.autocast():
                total += float(objective(model, batch.examples, 1, packed=context.packed)[0])
            count += len(batch.examples)
    return total, count
