"""The training loop: one readable pass from a recipe to a trained model, on one process or several.

A *step* is one update of the weights. It takes one global batch: `accumulation_steps` micro-batches on each process.
The loss of a step is the mean over all answer tokens of the global batch, however it is cut up.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.model.expert_balance import with_shares
from omni.recipe.schema import Recipe
from omni.runtime.files import recover_directory
from omni.runtime.folder_lock import FolderLock
from train.data.bad_samples import BadSample, BadSampleKind
from train.data.input_meter import InputMeter, InputTimes
from train.data.loading import load_batches
from train.data.packing import global_batch_size
from train.data.prepared import split_bad
from train.data.run_data import open_run_data
from train.data.sources import check_questions
from train.objectives.context import RunContext
from train.run import messages
from train.run.checkpoints import LAST
from train.run.evaluation import Evaluation
from train.run.learner import make_learner, make_runner
from train.run.metrics import MetricsLog
from train.run.optimizer import set_learning_rate
from train.run.progress import TrainingProgress
from train.run.records import RunRecords
from train.run.resuming import FoundCheckpoint, find_checkpoint, log_notes
from train.run.run_state import RunInterruptedError, RunState
from train.run.saved_run import read_saved_run
from train.run.saving import RunFolder
from train.run.schedule import learning_rate, schedule_share
from train.run.setup import SamplePreparation, plan_run, start_feature_cache
from train.run.step import TrainingStep
from train.run.updates import Update, Updates
from train.runtime.interrupts import Interrupts
from train.runtime.processes import from_all, from_main
from train.runtime.save_errors import prepare_output
from train.strategies import Strategy, make_accelerator, read_strategy


class Trainer:
    """Runs a recipe. `run()` trains to the end; everything it needs is set up in the constructor.

    Raises:
        FileNotFoundError, ValueError: naming the key of the recipe, the data set or the checkpoint that does not fit.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.config = config = recipe.train
        self.output_dir = Path(config.output_dir)
        strategy = read_strategy()
        self.accelerator = accelerator = make_accelerator(config.precision)
        batch_size = global_batch_size(config, accelerator.num_processes)
        self._lock: FolderLock | None = None  # of the main process
        from_main(accelerator, self._lock_output)
        try:
            self._set_up(recipe, strategy, batch_size)
        except BaseException:
            self._unlock_output()
            raise

    def _set_up(self, recipe: Recipe, strategy: Strategy, batch_size: int) -> None:
        config, accelerator = self.config, self.accelerator
        found = from_main(accelerator, self._find_checkpoint)
        saved = None if found is None else read_saved_run(recipe, batch_size, found.folder)
        self.data = open_run_data(
            recipe.data, config, accelerator.num_processes, {} if saved is None else saved.streams
        )
        fingerprints = from_main(accelerator, self.data.fingerprints)
        if saved is not None:
            saved.check_data(fingerprints)
        self.learner = make_learner(recipe, saved, strategy, accelerator, batch_size)
        self.prepared = SamplePreparation(self.learner, config)
        own = self.training_step.sample_objective
        layout = None if own is None else self.training_step.contract.name
        check_questions(self.data.train, layout, self.learner.instruction_readers)
        self.steps = plan_run(recipe, self.data, self.prepared, saved, accelerator, batch_size)
        self.records = RunRecords.of(
            saved, self.output_dir if accelerator.is_main_process else None, recipe.data.max_bad_share
        )
        if saved is not None:
            saved.check_plan(self.steps, self.records.bad_samples)
        self.encoder_release = start_feature_cache(
            self.learner, self.data, self.steps, config, self.state.step, warn=accelerator.is_main_process
        )
        self.runner = make_runner(self.learner, recipe, saved, strategy, accelerator)
        self.folder = RunFolder(
            self.output_dir, recipe, accelerator, self.data, fingerprints, self.steps, self.learner, self.runner
        )
        self.folder.begin(self.state.step, is_new=saved is None)
        self.encoder_release.before_training(self.data.train)
        self.metrics = MetricsLog(self.output_dir, self.state.step) if accelerator.is_main_process else None

    @property
    def model(self) -> EncoderStack:
        """What is trained: an `OmniModel` or a `JointSpace`."""
        return self.learner.model

    @property
    def training_step(self) -> TrainingStep:
        """Model and objective."""
        return self.learner.training_step

    @property
    def state(self) -> RunState:
        """How far the run has come."""
        return self.records.state

    def run(self) -> RunState:
        """Train to the end. The output folder is this run's until then, and after an error no longer.

        Raises:
            RunInterruptedError: SIGINT or SIGTERM came, the step was finished and saved.
            TooManyBadSamplesError, NonFiniteLossError, SaveError: it cannot go on; last/ holds the latest checkpoint.
        """
        try:
            return self._run()
        finally:
            self._unlock_output()

    def _run(self) -> RunState:
        num_steps, state = self.steps.num_steps, self.state
        progress = TrainingProgress(num_steps, state.step, shown=self.accelerator.is_main_process)
        # an encoder that was released opens its folders again
        with self.recipe.opens_folders(), Interrupts() as interrupts, progress as self.progress:
            if state.step == num_steps:
                self._refuse_untrained()
                self.progress.line(f"this run is already done: {self._summary()}")
                return state
            processes = self.accelerator.num_processes
            self.progress.line(messages.greeting(self.learner, self.steps, state.step, processes))
            if self.data.held_out is not None:
                self.progress.line(f"data.held_out_share: {self.data.held_out}")
            self._has_said_left_out = False
            self.updates = Updates(self.learner, self.runner, self.config, lambda: interrupts.signal_number)
            self.input_meter = InputMeter(self.config.num_workers, bool(self.config.feature_cache))
            batches = self._batches()
            self._evaluate_if_due()
            while state.step < num_steps:
                started = time.perf_counter()
                signal_number = self._train_step(self._next_micro_batches(batches), started)
                if signal_number:
                    self._save()
                    message = messages.how_to_resume(state, self.steps, self.folder.last)
                    raise RunInterruptedError(signal_number, message)
                if state.step == num_steps:
                    self._refuse_untrained()
                self._evaluate_if_due()
                self._save_if_due()
                done = self.steps.num_draws_until(state.step)
                if self.encoder_release.after_step(done) and state.step < num_steps:
                    batches = self._batches()  # with workers that do not hold the weights either
            self._finish()
        return state

    def _lock_output(self) -> None:
        """Make the output folder this run's alone; for the main process."""
        self._lock = prepare_output(self.output_dir)

    def _unlock_output(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _find_checkpoint(self) -> FoundCheckpoint | None:
        """Find what the run goes on from; for the main process."""
        recover_directory(self.output_dir / LAST)
        found = find_checkpoint(self.output_dir, self.config.resume)
        log_notes(found)
        return found

    def _context(self) -> RunContext:
        return RunContext(
            self.accelerator,
            self.config.seed,
            self.state.step,
            self.steps.global_batch_size,
            self.config.packing,
            self.learner.finish_runs,
        )

    def _batches(self) -> Iterator[Any]:
        accelerator = self.accelerator
        draws = self.steps.micro_batches(
            self.config, accelerator.process_index, accelerator.num_processes, self.state.step
        )
        return iter(load_batches(self.prepared(self.data.train, augmented=True), draws, self.config.num_workers))

    def _next_micro_batches(self, batches: Iterator[Any]) -> list[list[Example]]:
        """Return the micro-batches of this process for one step, without bad samples, which are recorded."""
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
        for sample in self.records.bad_samples.record(num_seen, all_bad, self.state.step + 1):
            self.progress.line(f"skipped {sample.id} of {sample.source}: {sample.reason}")
        self.state.samples += num_seen - len(all_bad)
        self._say_what_is_left_out(all_bad)
        return micro_batches

    def _say_what_is_left_out(self, found: Sequence[BadSample]) -> None:
        """Say once why samples are left out, and which the first is."""
        first = next((sample for sample in found if sample.kind is BadSampleKind.LEFT_OUT), None)
        if first is not None and not self._has_said_left_out:
            self._has_said_left_out = True
            what = f"left out, and rows like it: {first.id} of {first.source}: {first.reason}"
            self.progress.line(f"{what}. They are not counted as bad")

    def _train_step(self, micro_batches: list[list[Example]], started: float) -> int:
        """Make one update of the weights; return the number of the signal that asks to stop, or 0."""
        state, step = self.state, self.state.step
        mine = [[(example.num_answer_tokens, example.lengths) for example in batch] for batch in micro_batches]
        passes = [found for process in from_all(self.accelerator, mine) for found in process]
        num_tokens, num_samples = sum(count for found in passes for count, _ in found), sum(map(len, passes))
        for found in passes:
            state.count_positions([length for _, lengths in found for length in lengths], self.config.pack_tokens)
        set_learning_rate(self.runner.optimizer, schedule_share(step, self.steps.num_steps, self.config))
        update = self.updates.make(micro_batches, num_samples, num_tokens, self._context())
        if update.refused is not None:
            self._skip_or_stop(update)
        elif num_tokens:
            state.add_loss(update.loss, num_tokens)
            state.trained_steps += update.gradient_norm > 0
        state.step += 1
        seconds = time.perf_counter() - started
        self.input_meter.add(self.input_times, seconds)
        if state.step % self.config.log_every == 0 or state.step == self.steps.num_steps:
            self._log(update, num_samples / seconds)
        self.progress.advance(state.step, update.loss, num_samples / seconds)
        return update.signal_number

    def _log(self, update: Update, samples_per_second: float) -> None:
        """Write the line of metrics of the steps since the last one."""
        state, packing = self.state, self.config.packing
        figures = {
            "lr": learning_rate(state.step - 1, self.steps.num_steps, self.config),
            "gradient_norm": update.gradient_norm,
            "samples_per_second": samples_per_second,
            **with_shares(update.metrics),
            **self.input_meter.figures(),
        }
        if self.metrics is not None:
            self.metrics.write(state.step, messages.metrics_row(state, self.steps, figures, packing))
        self.progress.log(messages.metrics_line(state, self.steps, figures, packing))
        state.clear_loss()
        if hint := self.input_meter.hint():
            self.progress.line(hint)

    def _skip_or_stop(self, update: Update) -> None:
        """Write down a step that cannot be used, with the samples that may be at fault; every process comes here."""
        assert update.refused is not None
        self.state.skipped_steps += 1
        if self.accelerator.is_main_process:
            update.refused.write(self.output_dir)
        update.refused.stop_or_go_on(self.config, self.state.skipped_steps)
        self.progress.line(f"skipped {update.refused}")

    def _evaluate_if_due(self) -> None:
        step, every, sources = self.state.step, self.config.evaluate_every, self.data.evaluation
        due = step == self.steps.num_steps or (every is not None and step > 0 and step % every == 0)
        if not due or not sources or self.state.evaluated_step == step:
            return
        self.encoder_release.before_evaluation(sources)
        bad_samples = self.records.bad_evaluation_samples
        evaluation = Evaluation(self.training_step, sources, self.prepared(sources), self.config, bad_samples)
        figures = evaluation.figures(self._context(), self.progress.line)
        self.encoder_release.after_evaluation()
        loss = figures["evaluation_loss"]
        is_best = self.state.note_evaluation(loss)
        if self.metrics is not None:
            self.metrics.write(step, figures)
            self.metrics.draw_loss()
        self.progress.line(f"step {step}: evaluation loss {loss:.4f}{' (best so far)' if is_best else ''}")
        if is_best:
            self.folder.save_best(self.records)

    def _save(self) -> None:
        self.folder.save(self.records)
        if self.metrics is not None:
            self.metrics.draw_loss()

    def _save_if_due(self) -> None:
        every, step = self.config.save_every, self.state.step
        if every is not None and step % every == 0 and step < self.steps.num_steps:
            self._save()

    def _refuse_untrained(self) -> None:
        """Raise ValueError at the end of a run of which no step trained anything, with the reasons."""
        if self.state.trained_steps == 0:
            trained = self.learner.training_step.model.trainable_parameters()
            raise ValueError(messages.nothing_trained(self.state, self.records.bad_samples, [*trained]))

    def _finish(self) -> None:
        bad_samples = self.records.bad_samples
        self._save()
        if self.state.best_loss is None:
            self.folder.save_best(self.records)  # nothing to choose by: the last one it is
        if bad_samples.num_bad:
            self.progress.line(bad_samples.summary())
        self.progress.line(f"done: {self._summary()}")
        if self.metrics is not None:
            self.metrics.close()

    def _summary(self) -> str:
        return messages.summary(self.state, self.steps, self.config.packing, self.folder.best)
