"""The loss on held-out data, while training and at its end."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from omni.model.batch import Example
from omni.model.expert_balance import expert_use, with_shares
from omni.model.expert_routing import log_routing
from omni.readers.sources import Source
from omni.recipe.schema import TrainConfig
from train.data.bad_samples import BadSample, BadSampleLog
from train.data.loading import evaluation_batches, load_batches
from train.data.prepared import PreparedSamples
from train.objectives.context import HeldOutBatch, RunContext
from train.run.step import TrainingStep


@dataclass
class _Seen:
    """What one process met of the held-out data."""

    num_samples: int = 0
    bad: list[BadSample] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """Takes the loss on held-out data, which all processes share.

    Args:
        training_step: model and objective.
        sources: the held-out data.
        prepared: its samples.
        config: `train` of the recipe.
        bad_samples: where samples that cannot be used are counted.
    """

    training_step: TrainingStep
    sources: Sequence[Source]
    prepared: PreparedSamples
    config: TrainConfig
    bad_samples: BadSampleLog

    @torch.no_grad()
    def figures(self, context: RunContext, show: Callable[[str], None]) -> dict[str, float]:
        """Return the figures of the model as it is; `show` is given a line for each new bad sample.

        `evaluation_loss` is the mean negative log-likelihood in nats over all answer tokens, or what the objective has
        in its place (`train.objectives.base.EvaluatingObjective`). Where an adapter is `adapters.Experts`, there is
        also the share of its modality that each expert served.

        Raises:
            ValueError: no sample can be used.
            TooManyBadSamplesError: too few can.
        """
        accelerator = context.accelerator
        draws = evaluation_batches(
            self.sources, self.config.batch_size, accelerator.process_index, accelerator.num_processes
        )
        loader = load_batches(self.prepared, draws, self.config.num_workers)
        seen = _Seen()
        self.training_step.eval()
        with log_routing(self.training_step.model, only_trained=False) as log:
            batches = _without_bad(loader, seen, context)
            total, count = self.training_step.contract.evaluate(self.training_step.model, batches, context)
        use = {name: float(value) for name, value in expert_use(log, 1).items()}
        reports = context.gather((total, count, seen, use))
        all_bad = [sample for report in reports for sample in report[2].bad]
        num_seen = sum(report[2].num_samples for report in reports)
        for sample in self.bad_samples.record(num_seen, all_bad, context.step):
            show(f"skipped {sample.id} of {sample.source}: {sample.reason}")
        count = sum(report[1] for report in reports)
        if count == 0:
            raise ValueError(f"data.evaluation: no sample can be used. {self.bad_samples.summary()}")
        names = sorted({name for report in reports for name in report[3]})
        uses = with_shares({name: math.fsum(report[3].get(name, 0.0) for report in reports) for name in names})
        loss = math.fsum(report[0] for report in reports) / count
        return {"evaluation_loss": loss, **{f"evaluation_{name}": share for name, share in uses.items()}}


def _without_bad(
    loader: Iterable[Sequence[Example | BadSample]], seen: _Seen, context: RunContext
) -> Iterator[HeldOutBatch]:
    for items in loader:
        batch = HeldOutBatch([], [])
        for index, item in enumerate(items, seen.num_samples):
            if isinstance(item, BadSample):
                seen.bad.append(item)
            else:
                batch.places.append(context.place(index))
                batch.examples.append(item)
        seen.num_samples += len(items)
        yield batch
