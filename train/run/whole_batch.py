"""Objectives whose loss needs all rows of a step at once: plan the step before its micro-batches run."""

from collections.abc import Sequence

import torch

from omni.joint_space import JointSpace
from omni.model.batch import Example
from train.data.bad_samples import BadSample
from train.objectives.bind import BindObjective, EmbeddedRows
from train.run.setup import Run
from train.runtime.processes import from_all
from train.runtime.seeding import seed_everything


@torch.no_grad()
def plan_whole_batch(run: Run, micro_batches: Sequence[list[Example]]) -> list[list[Example]]:
    """Embed all micro-batches of the step, on all processes, and have the objective plan it; of other objectives
    nothing. Returns the micro-batches with what frozen encoders make of them."""
    objective, space = run.training_step.sample_objective, run.model
    if not isinstance(objective, BindObjective) or not isinstance(space, JointSpace):
        return [*micro_batches]
    run.training_step.train()
    process, num_processes = run.accelerator.process_index, run.accelerator.num_processes
    encoded, parts = [], []
    for index, batch in enumerate(micro_batches):
        with run.accelerator.autocast():
            encoded.append(objective.encode_frozen(space, batch))
            # as before the second pass, which does not encode, so that dropout is the same in both
            seed_everything(run.config.seed, run.state.step, index * num_processes + process)
            parts.append(objective.embed(space, encoded[-1]).detached())
    of_all = from_all(run.accelerator, parts)
    in_order = [of_process[index] for index in range(len(parts)) for of_process in of_all]
    mine = [index * num_processes + process for index, batch in enumerate(encoded) if batch]
    seed_everything(run.config.seed, run.state.step)  # the same everywhere, for losses that draw negatives
    objective.plan_step(space, in_order, mine)
    return encoded


def embed_held_out(run: Run, items: Sequence[Example | BadSample], num_before: int) -> list[tuple[int, EmbeddedRows]]:
    """The rows of a batch of held-out data, each with its place in the data; `num_before`: this process's before it."""
    objective, space = run.training_step.sample_objective, run.model
    assert isinstance(objective, BindObjective)
    assert isinstance(space, JointSpace)
    examples = [(place, item) for place, item in enumerate(items, num_before) if isinstance(item, Example)]
    with run.accelerator.autocast():
        embedded = objective.embed(space, [example for _, example in examples]).detached()
    process, num_processes = run.accelerator.process_index, run.accelerator.num_processes
    return [
        (place * num_processes + process, row) for (place, _), row in zip(examples, embedded.single_rows(), strict=True)
    ]


def held_out_loss(run: Run, parts: Sequence[tuple[int, EmbeddedRows]]) -> tuple[float, int]:
    """Loss of embedded held-out rows in batches of the size of a training step, summed over rows, and their number; a
    last batch whose rows cannot be compared counts for nothing.

    parts: of all processes, each with its place in the data, which decides the batches: so neither the number of
        processes nor `batch_size` changes the loss.
    """
    objective, space = run.training_step.sample_objective, run.model
    assert isinstance(objective, BindObjective)
    assert isinstance(space, JointSpace)
    rows = [part for _, part in sorted(parts, key=lambda pair: pair[0])]
    total, count = 0.0, 0
    for start in range(0, len(rows), run.global_batch_size):
        batch = EmbeddedRows.joined(rows[start : start + run.global_batch_size], space.device)
        seed_everything(run.config.seed, start)
        loss, metrics = objective.whole_batch_loss(batch, space.logit_scale)
        if any(name.startswith("loss_") for name in metrics):  # else no two of its rows can be compared
            total, count = total + float(loss) * len(batch.groups), count + len(batch.groups)
    return total, count
