"""The training loop: one readable pass from a recipe to a trained model, on one process or several.

A *step* is one update of the weights. It takes one global batch: `accumulation_steps` micro-batches on each process.
The loss of a step is the mean over all answer tokens of the global batch, however it is cut up.
"""

import math
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import gather_object

from omni.batching import Example
from omni.components import build
from omni.config import from_dict, to_dict
from omni.feature_cache import FeatureCache
from omni.model import OmniModel, build_model
from omni.model_card import ModelCard
from omni.starter import home
from train import checkpoints
from train.bad_samples import BadSampleLog
from train.config import Recipe
from train.data import PreparedSamples, evaluation_batches, hold_out, load_batches, open_sources, split_bad
from train.interrupts import Interrupts
from train.metrics import MetricsLog, truncate_lines
from train.mixing import MicroBatches, MixingPlan
from train.model_card import training_card
from train.optimizer import build_optimizer, set_learning_rate
from train.progress import TrainingProgress
from train.recipe import write_recipe
from train.schedule import learning_rate
from train.step import TrainingStep, seed_everything

Value = TypeVar("Value")


class NonFiniteLossError(RuntimeError):
    """The loss or its gradient became NaN or infinite."""


class RunInterruptedError(Exception):
    """SIGINT or SIGTERM: the run was saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


@dataclass
class RunState:
    """What changes from step to step besides weights and optimiser; JSON values."""

    step: int = 0  # steps done
    samples: int = 0  # usable samples seen
    loss_sum: float = 0.0  # nats, over the answer tokens since the last line of metrics
    token_sum: int = 0
    evaluated_step: int = -1
    evaluation_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None


@dataclass(frozen=True)
class Report:
    """What one process tells all others about its part of a step."""

    loss: float
    metrics: dict[str, float]
    signal_number: int
    suspects: list[str]  # ids of the samples whose loss is not finite


class Trainer:
    """Runs a recipe. `run()` trains to the end; everything it needs is set up in the constructor."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.config = recipe.train
        self.output_dir = Path(self.config.output_dir)
        self.accelerator = make_accelerator(self.config.precision)
        self.is_main = self.accelerator.is_main_process
        processes = self.accelerator.num_processes
        self.global_batch_size = self.config.batch_size * self.config.accumulation_steps * processes

        checkpoint = checkpoints.find_checkpoint(self.output_dir, self.config.resume)
        saved = None if checkpoint is None else checkpoints.read_state(checkpoint)
        if checkpoint is not None and saved is not None:
            checkpoints.check_same_run(recipe, self.global_batch_size, saved, checkpoint)
        self.state = RunState() if saved is None else RunState(**saved["run"])

        self.train_sources, held_out = hold_out(open_sources(recipe.data.train), recipe.data.held_out_share)
        self.evaluation_sources = open_sources(recipe.data.evaluation) + held_out
        sizes = [source.size for source in self.train_sources]
        self.plan = MixingPlan(sizes, [source.weight for source in self.train_sources], self.config.seed)
        self.num_steps, self.num_draws = self._length_of_run()

        self.model = self._make_model(checkpoint)
        self.card_before = self.model.card if saved is None else from_dict(ModelCard, saved["card_before"], "card")
        self._set_feature_cache()
        objective = build(recipe.objective, "objective")
        if isinstance(objective, torch.nn.Module):
            objective.to(self.accelerator.device)
        self.training_step = TrainingStep(self.model, objective, self.config.packing)
        optimizer = build_optimizer(self.training_step, self.config)
        if checkpoint is not None:
            checkpoints.load_training_state(checkpoint, self.training_step, optimizer, self.accelerator.device)
        # The model was built on its device; moving it again is not possible for quantised ones.
        with warnings.catch_warnings():
            # torch 2.13 renames broadcast_buffers, but accelerate 1.15 does not know the new name yet.
            warnings.simplefilter("ignore", FutureWarning)
            self.wrapped_step = self.accelerator.prepare_model(self.training_step, device_placement=False)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        self.trainable = [p for p in self.training_step.parameters() if p.requires_grad]

        self._prepare_output(is_new=checkpoint is None)
        bad_file = self.output_dir / "bad_samples.jsonl" if self.is_main else None
        self.bad_samples = BadSampleLog(bad_file, recipe.data.max_bad_share)
        self.bad_evaluation_samples = BadSampleLog(bad_file, recipe.data.max_bad_share)
        if saved is not None:
            self.bad_samples.load_state_dict(saved["bad_samples"])
            self.bad_evaluation_samples.load_state_dict(saved["bad_evaluation_samples"])
        self.metrics = MetricsLog(self.output_dir, self.state.step) if self.is_main else None

    # --- the loop ---

    def run(self) -> RunState:
        """Train to the end.

        Raises:
            RunInterruptedError: SIGINT or SIGTERM came, the step was finished and saved.
            TooManyBadSamplesError, NonFiniteLossError, SaveError: it cannot go on; last/ holds the latest checkpoint.
        """
        with Interrupts() as interrupts, self._progress() as self.progress:
            if self.state.step == self.num_steps:
                self.progress.line(f"this run is already done: {self._summary()}")
                return self.state
            self.progress.line(self._greeting())
            batches = self._batches()
            self._evaluate_if_due()
            while self.state.step < self.num_steps:
                started = time.perf_counter()
                micro_batches = self._next_micro_batches(batches)
                signal_number = self._train_step(micro_batches, interrupts, started)
                if signal_number:
                    self._save()
                    raise RunInterruptedError(signal_number, self._how_to_resume())
                self._evaluate_if_due()
                self._save_if_due()
            self._finish()
        return self.state

    def _next_micro_batches(self, batches: Iterator[Any]) -> list[list[Example]]:
        """The micro-batches of this process for one step, without bad samples, which are recorded."""
        prepared = [next(batches) for _ in range(self.config.accumulation_steps)]
        micro_batches, bad = [], []
        for items in prepared:
            examples, bad_here = split_bad(items)
            micro_batches.append(examples)
            bad += bad_here
        reports = self._from_all((sum(map(len, prepared)), bad))
        all_bad = [sample for _, found in reports for sample in found]
        num_seen = sum(count for count, _ in reports)
        for sample in self.bad_samples.record(num_seen, all_bad, self.state.step + 1):
            self.progress.line(f"skipped {sample.id} of {sample.source}: {sample.reason}")
        self.state.samples += num_seen - len(all_bad)
        return micro_batches

    def _train_step(self, micro_batches: list[list[Example]], interrupts: Interrupts, started: float) -> int:
        """One update of the weights; returns the number of the signal that asks to stop, or 0."""
        step = self.state.step
        mine = [example.num_answer_tokens for batch in micro_batches for example in batch]
        counts = [count for found in self._from_all(mine) for count in found]
        num_tokens, num_samples = sum(counts), len(counts)
        rate = learning_rate(step, self.num_steps, self.config)
        set_learning_rate(self.optimizer, rate)
        loss, metrics, signal_number, gradient_norm = math.nan, {}, interrupts.signal_number, 0.0
        if num_tokens:
            reports = self._from_all(self._accumulate_gradients(micro_batches, num_tokens, interrupts))
            loss = sum(report.loss for report in reports)
            metrics = _sum_metrics([report.metrics for report in reports])
            signal_number = max(report.signal_number for report in reports)
            gradient_norm = self._clip_gradients()
            self._check_finite(loss, gradient_norm, reports, micro_batches)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.state.loss_sum += loss * num_tokens
            self.state.token_sum += num_tokens
        else:
            signal_number = max(self._from_all(signal_number))
        self.state.step += 1
        seconds = time.perf_counter() - started
        figures = {"lr": rate, "gradient_norm": gradient_norm, "samples_per_second": num_samples / seconds, **metrics}
        self._log_if_due(figures)
        self.progress.advance(self.state.step, loss, num_samples / seconds)
        return signal_number

    def _accumulate_gradients(
        self, micro_batches: list[list[Example]], num_tokens: int, interrupts: Interrupts
    ) -> Report:
        """Forward and backward of every micro-batch; the gradients are exchanged between processes after the last."""
        self.training_step.train()
        losses, metrics = [], []
        for index, batch in enumerate(micro_batches):
            is_last = index == len(micro_batches) - 1
            with nullcontext() if is_last else self.accelerator.no_sync(self.wrapped_step):
                place = index * self.accelerator.num_processes + self.accelerator.process_index
                seed_everything(self.config.seed, self.state.step, place)
                loss, found = self.wrapped_step(batch, num_tokens)
                # Processes are averaged by DistributedDataParallel; the division by num_tokens already makes the mean.
                self.accelerator.backward(loss * self.accelerator.num_processes)
            losses.append(loss.detach())
            metrics.append({name: float(value) for name, value in found.items()})
        values = [float(loss) for loss in losses]
        suspects = [
            example.id
            for value, batch in zip(values, micro_batches, strict=True)
            if not math.isfinite(value)
            for example in batch
        ]
        return Report(math.fsum(values), _sum_metrics(metrics), interrupts.signal_number, suspects)

    def _clip_gradients(self) -> float:
        limit = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        return float(self.accelerator.clip_grad_norm_(self.trainable, limit) or 0.0)

    def _check_finite(
        self, loss: float, gradient_norm: float, reports: list[Report], micro_batches: list[list[Example]]
    ) -> None:
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            return
        suspects = [name for report in reports for name in report.suspects]
        if not suspects:
            all_ids = self._from_all([example.id for batch in micro_batches for example in batch])
            suspects = [name for names in all_ids for name in names]
        what = f"loss is {loss}" if not math.isfinite(loss) else f"norm of the gradient is {gradient_norm}"
        raise NonFiniteLossError(
            f"step {self.state.step + 1}: the {what}. The samples are among {suspects}. Look for broken values in "
            "their media, lower train.lr, or raise train.warmup_steps; last/ holds the latest checkpoint"
        )

    # --- evaluation ---

    @torch.no_grad()
    def evaluation_loss(self) -> float:
        """Mean negative log-likelihood in nats over all answer tokens of the held-out data."""
        prepared = PreparedSamples(self.evaluation_sources, self.model, self.config.seed, self.config.max_length)
        batches = evaluation_batches(
            self.evaluation_sources,
            self.config.batch_size,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        self.training_step.eval()
        nll, num_tokens, num_seen, bad = 0.0, 0, 0, []
        for items in load_batches(prepared, batches, self.config.num_workers):
            examples, bad_here = split_bad(items)
            num_seen += len(items)
            bad += bad_here
            if examples:
                with self.accelerator.autocast():
                    nll += float(self.model(examples, packed=self.config.packing, num_answer_tokens=1))
                num_tokens += sum(example.num_answer_tokens for example in examples)
        reports = self._from_all((nll, num_tokens, num_seen, bad))
        all_bad = [sample for report in reports for sample in report[3]]
        for sample in self.bad_evaluation_samples.record(sum(r[2] for r in reports), all_bad, self.state.step):
            self.progress.line(f"skipped {sample.id} of {sample.source}: {sample.reason}")
        total = sum(report[1] for report in reports)
        if total == 0:
            raise ValueError(f"data.evaluation: no sample can be used. {self.bad_evaluation_samples.summary()}")
        return math.fsum(report[0] for report in reports) / total

    def _evaluate_if_due(self) -> None:
        step, every = self.state.step, self.config.evaluate_every
        due = step == self.num_steps or (every is not None and step > 0 and step % every == 0)
        if not due or not self.evaluation_sources or self.state.evaluated_step == step:
            return
        loss = self.evaluation_loss()
        self.state.evaluated_step, self.state.evaluation_loss = step, loss
        is_best = self.state.best_loss is None or loss < self.state.best_loss
        if is_best:
            self.state.best_loss, self.state.best_step = loss, step
        if self.metrics is not None:
            self.metrics.write(step, {"evaluation_loss": loss})
            self.metrics.draw_loss()
        self.progress.line(f"step {step}: evaluation loss {loss:.4f}{' (best so far)' if is_best else ''}")
        if is_best:
            self._save_best()

    # --- what is written ---

    def _log_if_due(self, figures: dict[str, float]) -> None:
        step = self.state.step
        if step % self.config.log_every and step != self.num_steps:
            return
        loss = self.state.loss_sum / self.state.token_sum if self.state.token_sum else math.nan
        epoch = step * self.global_batch_size / self.plan.epoch_length
        values = {"epoch": epoch, "samples": self.state.samples, "answer_tokens": self.state.token_sum, **figures}
        if self.state.token_sum:
            values = {"loss": loss, **values}
        if self.metrics is not None:
            self.metrics.write(step, values)
        rate = figures["samples_per_second"]
        self.progress.log(f"step {step} of {self.num_steps}: loss {loss:.4f}, {rate:.1f} samples/s")
        self.state.loss_sum, self.state.token_sum = 0.0, 0

    def _save_if_due(self) -> None:
        every, step = self.config.save_every, self.state.step
        if every is not None and step % every == 0 and step < self.num_steps:
            self._save()

    def _save(self) -> None:
        if self.is_main:
            self.model.card = self._card()
            state = {
                "run": asdict(self.state),
                "recipe": asdict(self.recipe),
                "global_batch_size": self.global_batch_size,
                "card_before": to_dict(self.card_before),
                "bad_samples": self.bad_samples.state_dict(),
                "bad_evaluation_samples": self.bad_evaluation_samples.state_dict(),
            }
            folder = self.output_dir / checkpoints.LAST
            checkpoints.save_checkpoint(folder, self.training_step, self.optimizer, state)
            checkpoints.keep_step(self.output_dir, self.state.step, self.config.keep)
            if self.metrics is not None:
                self.metrics.draw_loss()
        self.accelerator.wait_for_everyone()

    def _save_best(self) -> None:
        if self.is_main:
            self.model.card = self._card()
            checkpoints.save_model_only(self.output_dir / checkpoints.BEST, self.model)
        self.accelerator.wait_for_everyone()

    def _finish(self) -> None:
        if self.bad_samples.num_seen == self.bad_samples.num_bad:
            raise ValueError(f"nothing was trained. {self.bad_samples.summary()}")
        self._save()
        if not self.evaluation_sources:
            self._save_best()  # nothing to choose by: the last one it is
        if self.bad_samples.num_bad:
            self.progress.line(self.bad_samples.summary())
        self.progress.line(f"done: {self._summary()}")
        if self.metrics is not None:
            self.metrics.close()

    # --- setting up ---

    def _length_of_run(self) -> tuple[int, int]:
        """Steps, and draws from the plan."""
        if self.config.steps is not None:
            return self.config.steps, self.config.steps * self.global_batch_size
        assert self.config.epochs is not None
        num_draws = max(1, round(self.config.epochs * self.plan.epoch_length))
        return math.ceil(num_draws / self.global_batch_size), num_draws

    def _make_model(self, checkpoint: Path | None) -> OmniModel:
        folder = checkpoint or self.recipe.init_from
        if folder is not None:
            return OmniModel.load(folder, device=self.accelerator.device)
        assert self.recipe.model is not None
        seed_everything(self.config.seed)  # new weights are drawn from the global generator
        return build_model(self.recipe.model, self.accelerator.device)

    def _set_feature_cache(self) -> None:
        setting = self.config.feature_cache
        if setting:
            folder = home() / "features" if setting is True else Path(setting)
            self.model.feature_cache = FeatureCache(folder)
            for name in self.model.modalities:
                self.model.modality(name).encoder.fingerprint()  # once, before workers are forked

    def _prepare_output(self, is_new: bool) -> None:
        if self.is_main:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            if is_new:
                checkpoints.clear_run(self.output_dir)
            truncate_lines(self.output_dir / "bad_samples.jsonl", self.state.step)
            write_recipe(self.recipe, self.output_dir / "recipe.yaml")
        self.accelerator.wait_for_everyone()

    def _card(self) -> ModelCard:
        return training_card(
            self.card_before,
            self.train_sources,
            self.config,
            step=self.state.step,
            global_batch_size=self.global_batch_size,
            evaluation_loss=self.state.evaluation_loss,
        )

    def _batches(self) -> Iterator[Any]:
        prepared = PreparedSamples(self.train_sources, self.model, self.config.seed, self.config.max_length)
        micro_batches = MicroBatches(
            self.plan,
            batch_size=self.config.batch_size,
            accumulation_steps=self.config.accumulation_steps,
            process_index=self.accelerator.process_index,
            num_processes=self.accelerator.num_processes,
            first_step=self.state.step,
            num_steps=self.num_steps,
            num_draws=self.num_draws,
        )
        return iter(load_batches(prepared, micro_batches, self.config.num_workers))

    def _progress(self) -> TrainingProgress:
        return TrainingProgress(self.num_steps, self.state.step, shown=self.is_main)

    def _from_all(self, value: Value) -> list[Value]:
        """The value of every process, in order; a point where all processes meet."""
        return [value] if self.accelerator.num_processes == 1 else gather_object([value])

    def _greeting(self) -> str:
        count = sum(parameter.numel() for parameter in self.trainable)
        begins = f"continuing after step {self.state.step}" if self.state.step else "beginning"
        return (
            f"{begins}: {self.num_steps} steps of {self.global_batch_size} samples on {self.accelerator.num_processes} "
            f"process(es), {self.plan.epoch_length:,} samples in the data, {count:,} parameters to train"
        )

    def _summary(self) -> str:
        best = "" if self.state.best_loss is None else f", best evaluation loss {self.state.best_loss:.4f}"
        return f"{self.state.step} steps{best}; the model is in {self.output_dir / checkpoints.BEST}"

    def _how_to_resume(self) -> str:
        return (
            f"stopped after step {self.state.step} of {self.num_steps} and saved to "
            f"{self.output_dir / checkpoints.LAST}; the same command continues from there"
        )


def make_accelerator(precision: str) -> Accelerator:
    """Accelerate for this machine."""
    has_device = torch.accelerator.is_available()
    # Buffers are frozen and equal everywhere. Broadcasting them would also make encoders hash their weights again.
    handlers: list[Any] = [DistributedDataParallelKwargs(broadcast_buffers=False)]
    if not has_device and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # On CPU nothing chooses a backend by itself; and on one process accelerate fails if one is chosen.
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    return Accelerator(cpu=not has_device, mixed_precision=precision, kwargs_handlers=handlers)


def _sum_metrics(parts: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    return {name: math.fsum(part.get(name, 0.0) for part in parts) for name in names}
