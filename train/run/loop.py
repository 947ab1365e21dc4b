"""The training loop: one readable pass from a recipe to a trained model, on one process or several.

A *step* is one update of the weights. It takes one global batch: `accumulation_steps` micro-batches on each process.
The loss of a step is the mean over all answer tokens of the global batch, however it is cut up.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omni.model.batch import Example
from omni.model.expert_balance import update_usage, with_shares
from train.data.input_meter import InputMeter, InputTimes
from train.data.mixing import MicroBatches
from train.data.packing import PackedMicroBatches
from train.data.loading import load_batches
from train.data.prepared import split_bad
from train.run import output
from train.run.evaluation import evaluation_figures
from train.run.non_finite import NonFiniteStep
from train.run.optimizer import set_learning_rate
from train.run.progress import TrainingProgress
from train.run.run_state import RunInterruptedError, RunState
from train.run.schedule import learning_rate, schedule_share
from train.run.setup import Run
from train.run.whole_batch import plan_whole_batch
from train.runtime.interrupts import Interrupts
from train.runtime.processes import from_all
from train.runtime.seeding import seed_everything


@dataclass(frozen=True)
class Report:
    """What one process tells all others about its part of a step."""

    loss: float
    metrics: dict[str, float]
    signal_number: int
    suspects: list[str]  # ids of the samples whose loss is not finite


class Trainer(Run):
    """Runs a recipe. `run()` trains to the end; everything it needs is set up in the constructor."""

    def run(self) -> RunState:
        """Train to the end.

        Raises:
            RunInterruptedError: SIGINT or SIGTERM came, the step was finished and saved.
            TooManyBadSamplesError, NonFiniteLossError, SaveError: it cannot go on; last/ holds the latest checkpoint.
        """
        with Interrupts() as interrupts, self._show_progress() as self.progress:
            if self.state.step == self.num_steps:
                self.progress.line(f"this run is already done: {output.summary(self)}")
                return self.state
            self.progress.line(output.greeting(self))
            batches = self._batches()
            self.input_meter = InputMeter(self.config.num_workers)
            self._evaluate_if_due()
            while self.state.step < self.num_steps:
                started = time.perf_counter()
                micro_batches = self._next_micro_batches(batches)
                signal_number = self._train_step(micro_batches, interrupts, started)
                if signal_number:
                    output.save(self)
                    raise RunInterruptedError(signal_number, output.how_to_resume(self))
                self._evaluate_if_due()
                self._save_if_due()
                done = self.num_draws_until(self.state.step)
                if self.encoder_release.after_step(done) and self.state.step < self.num_steps:
                    batches = self._batches()  # with workers that do not hold the weights either
            self._finish()
        return self.state

    def _show_progress(self) -> TrainingProgress:
        return TrainingProgress(self.num_steps, self.state.step, shown=self.is_main)

    def _batches(self) -> Iterator[Any]:
        prepared = self.prepared(self.train_sources, augmented=True)
        place: dict[str, int] = {
            "accumulation_steps": self.config.accumulation_steps,
            "process_index": self.accelerator.process_index,
            "num_processes": self.accelerator.num_processes,
            "first_step": self.state.step,
            "num_steps": self.num_steps,
        }
        if self.packs is not None:
            micro_batches = PackedMicroBatches(self.plan, self.packs, **place)
        else:
            size = self.config.batch_size
            micro_batches = MicroBatches(self.plan, batch_size=size, num_draws=self.num_draws, **place)
        return iter(load_batches(prepared, micro_batches, self.config.num_workers))

    def _next_micro_batches(self, batches: Iterator[Any]) -> list[list[Example]]:
        """The micro-batches of this process for one step, without bad samples, which are recorded."""
        started = time.perf_counter()
        prepared = [next(batches) for _ in range(self.config.accumulation_steps)]
        waited, busy = time.perf_counter() - started, sum(items.seconds for items in prepared)
        micro_batches, bad = [], []
        for items in prepared:
            examples, bad_here = split_bad(items)
            micro_batches.append(examples)
            bad += bad_here
        mine = InputTimes(waited, busy, sum(map(len, prepared)))
        reports = from_all(self.accelerator, (mine, bad))
        self.input_times = [times for times, _ in reports]
        all_bad = [sample for _, found in reports for sample in found]
        num_seen = sum(times.num_samples for times in self.input_times)
        for sample in self.bad_samples.record(num_seen, all_bad, self.state.step + 1):
            self.progress.line(f"skipped {sample.id} of {sample.source}: {sample.reason}")
        self.state.samples += num_seen - len(all_bad)
        return micro_batches

    def _train_step(self, micro_batches: list[list[Example]], interrupts: Interrupts, started: float) -> int:
        """One update of the weights; returns the number of the signal that asks to stop, or 0."""
        step = self.state.step
        mine = [[(example.num_answer_tokens, example.lengths) for example in batch] for batch in micro_batches]
        passes = [found for process in from_all(self.accelerator, mine) for found in process]
        num_tokens, num_samples = sum(count for found in passes for count, _ in found), sum(map(len, passes))
        for found in passes:
            self.state.count_positions([length for _, lengths in found for length in lengths], self.config.pack_tokens)
        if self.training_step.sample_objective is not None:
            self.training_step.sample_objective.begin_step(num_samples)
            if num_samples:
                micro_batches = plan_whole_batch(self, micro_batches)
        share = schedule_share(step, self.num_steps, self.config)
        set_learning_rate(self.strategy.optimizer, share)
        loss, metrics, signal_number, gradient_norm = math.nan, {}, interrupts.signal_number, 0.0
        if num_tokens:
            reports = from_all(self.accelerator, self._accumulate_gradients(micro_batches, num_tokens, interrupts))
            loss = sum(report.loss for report in reports)
            metrics = _sum_metrics([report.metrics for report in reports])
            signal_number = max(report.signal_number for report in reports)
            gradient_norm = self._clip_gradients()
            if math.isfinite(loss) and math.isfinite(gradient_norm):
                self.strategy.update()
                update_usage(self.model, metrics)
                self.state.loss_sum += loss * num_tokens
                self.state.token_sum += num_tokens
            else:
                self._skip_or_stop(loss, gradient_norm, reports, micro_batches)
                self.strategy.discard_gradients()
        else:
            signal_number = max(from_all(self.accelerator, signal_number))
        self.state.step += 1
        seconds = time.perf_counter() - started
        self.input_meter.add(self.input_times, seconds)
        figures = {
            "lr": learning_rate(step, self.num_steps, self.config),
            "gradient_norm": gradient_norm,
            "samples_per_second": num_samples / seconds,
            **with_shares(metrics),
        }
        if self.state.step % self.config.log_every == 0 or self.state.step == self.num_steps:
            self.progress.log(output.write_metrics(self, figures | self.input_meter.figures()))
            if hint := self.input_meter.hint():
                self.progress.line(hint)
        self.progress.advance(self.state.step, loss, num_samples / seconds)
        return signal_number

    def _accumulate_gradients(
        self, micro_batches: list[list[Example]], num_tokens: int, interrupts: Interrupts
    ) -> Report:
        """Forward and backward of every micro-batch; the gradients are exchanged between processes after the last."""
        self.training_step.train()
        losses, metrics = [], []
        for index, batch in enumerate(micro_batches):
            place = index * self.accelerator.num_processes + self.accelerator.process_index
            seed_everything(self.config.seed, self.state.step, place)
            is_last = index == len(micro_batches) - 1
            loss, found = self.strategy.forward_backward(batch, num_tokens, is_last=is_last)
            losses.append(loss)
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
        return self.strategy.clip_gradients(limit)

    def _skip_or_stop(
        self, loss: float, gradient_norm: float, reports: list[Report], micro_batches: list[list[Example]]
    ) -> None:
        """Write down a step that cannot be used, with the samples that may be at fault; every process comes here."""
        suspects = [name for report in reports for name in report.suspects]
        if not suspects:
            all_ids = from_all(self.accelerator, [example.id for batch in micro_batches for example in batch])
            suspects = [name for names in all_ids for name in names]
        step = NonFiniteStep(self.state.step + 1, loss, gradient_norm, suspects)
        self.state.skipped_steps += 1
        if self.is_main:
            step.write(self.output_dir)
        step.stop_or_go_on(self.config, self.state.skipped_steps)
        self.progress.line(f"skipped {step}")

    def _evaluate_if_due(self) -> None:
        step, every = self.state.step, self.config.evaluate_every
        due = step == self.num_steps or (every is not None and step > 0 and step % every == 0)
        if not due or not self.evaluation_sources or self.state.evaluated_step == step:
            return
        self.encoder_release.before_evaluation(self.evaluation_sources)
        figures = evaluation_figures(self, self.progress)
        loss = figures["evaluation_loss"]
        self.encoder_release.after_evaluation()
        self.state.evaluated_step, self.state.evaluation_loss = step, loss
        is_best = math.isfinite(loss) and (self.state.best_loss is None or loss < self.state.best_loss)
        if is_best:
            self.state.best_loss, self.state.best_step = loss, step
        if self.metrics is not None:
            self.metrics.write(step, figures)
            self.metrics.draw_loss()
        self.progress.line(f"step {step}: evaluation loss {loss:.4f}{' (best so far)' if is_best else ''}")
        if is_best:
            output.save_best(self)

    def _save_if_due(self) -> None:
        every, step = self.config.save_every, self.state.step
        if every is not None and step % every == 0 and step < self.num_steps:
            output.save(self)

    def _finish(self) -> None:
        if self.bad_samples.num_seen == self.bad_samples.num_bad:
            raise ValueError(f"nothing was trained. {self.bad_samples.summary()}")
        output.save(self)
        if self.state.best_loss is None:
            output.save_best(self)  # nothing to choose by: the last one it is
        if self.bad_samples.num_bad:
            self.progress.line(self.bad_samples.summary())
        self.progress.line(f"done: {output.summary(self)}")
        if self.metrics is not None:
            self.metrics.close()


def _sum_metrics(parts: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    return {name: math.fsum(part.get(name, 0.0) for part in parts) for name in names}
