"""The loss on held-out data, while training and at its end."""

import math
from collections.abc import Sequence

import torch

from omni.model.batch import Example
from omni.model.expert_balance import expert_use, with_shares
from omni.model.expert_routing import log_routing
from train.data.loading import evaluation_batches, load_batches
from train.data.prepared import split_bad
from train.objectives.bind import BindObjective, EmbeddedRows
from train.run.progress import TrainingProgress
from train.run.setup import Run
from train.run.whole_batch import embed_held_out, held_out_loss
from train.runtime.processes import from_all


@torch.no_grad()
def evaluation_figures(run: Run, progress: TrainingProgress) -> dict[str, float]:
    """`evaluation_loss`: mean negative log-likelihood in nats over all answer tokens of the held-out data, which all
    processes share; with a `train.objectives.SampleObjective`, such as preference tuning, its mean loss over the
    samples. Where an adapter is `adapters.Experts`, also the share of its modality that each expert served.

    Raises:
        ValueError: no sample can be used.
        TooManyBadSamplesError: too few can.
    """
    accelerator, config = run.accelerator, run.config
    prepared = run.prepared(run.evaluation_sources)
    batches = evaluation_batches(
        run.evaluation_sources, config.batch_size, accelerator.process_index, accelerator.num_processes
    )
    run.training_step.eval()
    total, count, num_seen, bad = 0.0, 0, 0, []
    embedded: list[tuple[int, EmbeddedRows]] = []  # row by row, for an objective that needs all of them
    with log_routing(run.model, only_trained=False) as log:
        for items in load_batches(prepared, batches, config.num_workers):
            examples, bad_here = split_bad(items)
            num_seen += len(items)
            bad += bad_here
            if examples and isinstance(run.training_step.sample_objective, BindObjective):
                embedded += embed_held_out(run, items, num_seen - len(items))
            elif examples:
                with accelerator.autocast():
                    part, part_count = _sum_and_count(run, examples)
                total, count = total + part, count + part_count
    use = {name: float(value) for name, value in expert_use(log, 1).items()}
    if run.lockstep is not None:
        run.lockstep.finish()
    of_all = [row for rows in from_all(accelerator, embedded) for row in rows]
    if of_all and run.is_main:
        total, count = held_out_loss(run, of_all)
    reports = from_all(accelerator, (total, count, num_seen, bad, use))
    all_bad = [sample for report in reports for sample in report[3]]
    for sample in run.bad_evaluation_samples.record(sum(r[2] for r in reports), all_bad, run.state.step):
        progress.line(f"skipped {sample.id} of {sample.source}: {sample.reason}")
    count = sum(report[1] for report in reports)
    if count == 0:
        raise ValueError(f"data.evaluation: no sample can be used. {run.bad_evaluation_samples.summary()}")
    names = sorted({name for report in reports for name in report[4]})
    uses = with_shares({name: math.fsum(report[4].get(name, 0.0) for report in reports) for name in names})
    loss = math.fsum(report[0] for report in reports) / count
    return {"evaluation_loss": loss, **{f"evaluation_{name}": share for name, share in uses.items()}}


def _sum_and_count(run: Run, examples: Sequence[Example]) -> tuple[float, int]:
    """Summed loss of a batch, and what it is summed over."""
    objective = run.training_step.sample_objective
    if objective is None:
        nll = run.model(examples, packed=run.config.packing, num_answer_tokens=1)
        return float(nll), sum(example.num_answer_tokens for example in examples)
    objective.begin_step(num_samples=1)
    loss, _ = objective(run.model, examples, 1, packed=run.config.packing)
    return float(loss), len(examples)
