"""The loss on held-out data, while training and at its end."""

import math

import torch

from train.data import PreparedSamples, evaluation_batches, load_batches, split_bad
from train.processes import from_all
from train.progress import TrainingProgress
from train.setup import Run


@torch.no_grad()
def evaluation_loss(run: Run, progress: TrainingProgress) -> float:
    """Mean negative log-likelihood in nats over all answer tokens of the held-out data, which all processes share.

    Raises:
        ValueError: no sample can be used.
        TooManyBadSamplesError: too few can.
    """
    accelerator, config = run.accelerator, run.config
    prepared = PreparedSamples(run.evaluation_sources, run.model, config.seed, config.max_length)
    batches = evaluation_batches(
        run.evaluation_sources, config.batch_size, accelerator.process_index, accelerator.num_processes
    )
    run.training_step.eval()
    nll, num_tokens, num_seen, bad = 0.0, 0, 0, []
    for items in load_batches(prepared, batches, config.num_workers):
        examples, bad_here = split_bad(items)
        num_seen += len(items)
        bad += bad_here
        if examples:
            with accelerator.autocast():
                nll += float(run.model(examples, packed=config.packing, num_answer_tokens=1))
            num_tokens += sum(example.num_answer_tokens for example in examples)
    reports = from_all(accelerator, (nll, num_tokens, num_seen, bad))
    all_bad = [sample for report in reports for sample in report[3]]
    for sample in run.bad_evaluation_samples.record(sum(r[2] for r in reports), all_bad, run.state.step):
        progress.line(f"skipped {sample.id} of {sample.source}: {sample.reason}")
    total = sum(report[1] for report in reports)
    if total == 0:
        raise ValueError(f"data.evaluation: no sample can be used. {run.bad_evaluation_samples.summary()}")
    return math.fsum(report[0] for report in reports) / total
