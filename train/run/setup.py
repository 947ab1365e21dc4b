"""From a recipe to everything a run needs: processes, data, plan, model, optimiser, and the state to continue from."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from omni.config import from_dict
from omni.config.components import build
from omni.model.card import ModelCard
from omni.readers.sources import Source, hold_out
from omni.recipe.schema import Recipe
from train.data.bad_samples import BadSampleLog
from train.data.lengths import MeasuredDraws, SampleLengths
from train.data.mixing import MixingPlan
from train.data.packing import (
    PACKS,
    PackPlan,
    describe_global_batch,
    global_batch_size,
    load_packs,
    plan_packs,
    save_packs,
)
from train.data.prepared import PreparedSamples
from train.data.sources import check_questions, open_sources
from train.data.streams import refuse_packs_of_streams, stream_layouts
from train.feature_cache.release import EncoderRelease, attach_feature_cache
from train.objectives import BindObjective
from train.recipe import write_recipe
from train.run import checkpoints
from train.run.efficiency import choose_pack_attention, llm_of, prepare_llm
from train.run.initialisation import make_model
from train.run.metrics import MetricsLog, truncate_lines
from train.run.non_finite import NON_FINITE_STEPS
from train.run.optimizer import build_optimizer
from train.run.run_state import RunState
from train.run.step import TrainingStep
from train.runtime.processes import from_all, make_accelerator
from train.runtime.save_errors import explain_failure, prepare_output
from train.strategies import make_strategy, read_launch, shard_llm


class Run:
    """Everything a run needs, made from its recipe, or from the checkpoint in its output folder to continue it.

    Raises:
        FileNotFoundError, ValueError: naming the key of the recipe, the data set or the checkpoint that does not fit.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.config = recipe.train
        self.launch = read_launch()
        self.output_dir = Path(self.config.output_dir)
        self.accelerator = make_accelerator(self.config.precision)
        self.is_main = self.accelerator.is_main_process
        processes = self.accelerator.num_processes
        self.global_batch_size = global_batch_size(self.config, processes)

        if self.is_main:
            prepare_output(self.output_dir)
        checkpoint = checkpoints.find_checkpoint(self.output_dir, self.config.resume)
        saved = None if checkpoint is None else checkpoints.read_state(checkpoint)
        if checkpoint is not None and saved is not None:
            checkpoints.check_same_run(recipe, self.global_batch_size, saved, checkpoint)
        self.state = RunState() if saved is None else RunState(**saved["run"])

        saved_streams = {} if saved is None else saved.get("streams", {})
        sources = open_sources(recipe.data.train, saved_streams)
        self.train_sources, held_out = hold_out(sources, recipe.data.held_out_share)
        self.evaluation_sources = open_sources(recipe.data.evaluation) + held_out
        refuse_packs_of_streams(self.train_sources, self.config)
        sizes = [source.size for source in self.train_sources]
        streams = stream_layouts(self.train_sources, self.config, processes, saved_streams)
        self.plan = MixingPlan(sizes, [source.weight for source in self.train_sources], self.config.seed, streams)

        sharded, device = self.launch.shards_llm, self.accelerator.device
        # An LLM that will be spread over the processes need not fit on one device.
        self.model, self.origin_lines = make_model(recipe, checkpoint, torch.device("cpu") if sharded else device)
        self.model.modalities.to(device)
        llm = llm_of(self.model, self.config, sharded)
        if llm is not None and self.config.packing:
            choose_pack_attention(llm, self.config, device)
        self.lockstep = shard_llm(llm, self.launch, device) if llm is not None and sharded else None
        self.card_before = self.model.card if saved is None else from_dict(ModelCard, saved["card_before"], "card")
        objective = build(recipe.objective, "objective")
        if isinstance(objective, torch.nn.Module):
            objective.to(self.accelerator.device)
        activation_context = nullcontext if llm is None else prepare_llm(llm, self.config)
        self.training_step = TrainingStep(self.model, objective, self.config.packing, activation_context)
        check_questions(self.train_sources, self.training_step)
        if isinstance(self.training_step.sample_objective, BindObjective):
            self.training_step.sample_objective.check_batch(self.global_batch_size)
        self.packs = self._plan_packs(is_new=checkpoint is None)
        self.num_steps, self.num_draws = self._length()
        # After the packs, which must not depend on what is cached.
        attach_feature_cache(self.model, self.config, warn=self.is_main)
        first_draw = self.num_draws_until(self.state.step)
        self.encoder_release = EncoderRelease(self.model, self.plan, self.config, first_draw)
        optimizer = build_optimizer(self.training_step, self.config)
        if checkpoint is not None:
            checkpoints.load_training_state(checkpoint, self.training_step, optimizer)
        self.trainable = [p for p in self.training_step.parameters() if p.requires_grad]
        self.strategy = make_strategy(
            self.accelerator, self.launch, self.training_step, optimizer, self.lockstep, self.config
        )

        self._prepare_folder(is_new=checkpoint is None)
        bad_file = self.output_dir / "bad_samples.jsonl" if self.is_main else None
        self.bad_samples = BadSampleLog(bad_file, recipe.data.max_bad_share)
        self.bad_evaluation_samples = BadSampleLog(bad_file, recipe.data.max_bad_share)
        if saved is not None:
            self.bad_samples.load_state_dict(saved["bad_samples"])
            self.bad_evaluation_samples.load_state_dict(saved["bad_evaluation_samples"])
            if self.packs is not None:
                self._check_same_plan()
        self.encoder_release.before_training(self.train_sources)
        self.metrics = MetricsLog(self.output_dir, self.state.step) if self.is_main else None

    def prepared(self, sources: Sequence[Source], augmented: bool = False) -> PreparedSamples:
        """The samples of `sources` as the objective takes them."""
        views = self.config.feature_cache_views if augmented else None
        own = self.training_step.sample_objective
        prepare = None if own is None else own.prepare
        return PreparedSamples(sources, self.model, self.config.seed, self.config.max_length, prepare, views)

    def num_draws_until(self, step: int) -> int:
        """Draws from the plan in the first `step` steps."""
        size = step * self.global_batch_size
        return min(size, self.num_draws) if self.packs is None else self.packs.num_draws(size)

    @property
    def global_batch(self) -> str:
        """What a step takes, in words."""
        return describe_global_batch(self.config, self.global_batch_size)

    def _length(self) -> tuple[int, int]:
        """Steps, and draws from the plan."""
        num_draws = self._draws_of_epochs()
        if self.packs is not None:
            num_steps = self.config.steps or math.ceil(len(self.packs) / self.global_batch_size)
            return num_steps, len(self.packs.positions)
        if num_draws is None:
            assert self.config.steps is not None
            return self.config.steps, self.config.steps * self.global_batch_size
        return math.ceil(num_draws / self.global_batch_size), num_draws

    def _draws_of_epochs(self) -> int | None:
        epochs = self.config.epochs
        return None if epochs is None else max(1, round(epochs * self.plan.epoch_length))

    def _plan_packs(self, is_new: bool) -> PackPlan | None:
        """The packs of the whole run, planned by all processes together, or as the continued run planned them."""
        config = self.config
        if config.pack_tokens is None:
            return None
        file = self.output_dir / PACKS
        found = load_packs(file) if self.is_main and not is_new else None
        found = from_all(self.accelerator, found)[0]
        if found is not None:
            return found
        lengths = SampleLengths(self.prepared(self.train_sources))
        num_draws = self._draws_of_epochs()
        return plan_packs(
            self.plan,
            MeasuredDraws(self.plan, lengths, self.accelerator, config.num_workers, num_draws),
            budget=config.pack_tokens,
            window=config.pack_window,
            num_draws=num_draws,
            num_packs=None if config.steps is None else config.steps * self.global_batch_size,
        )

    def _check_same_plan(self) -> None:
        before, now = self.bad_samples.num_seen, self.num_draws_until(self.state.step)
        if before != now:
            raise ValueError(
                f"{self.output_dir} holds a run whose first {self.state.step} steps took {before} samples; with the "
                f"data as they are now they would take {now}: data.train has changed. Choose another "
                "--train.output_dir, or begin anew in this one with --train.resume never (which deletes that run)"
            )

    def _prepare_folder(self, is_new: bool) -> None:
        if self.is_main:
            if is_new:
                checkpoints.clear_run(self.output_dir)
            for name in ("bad_samples.jsonl", NON_FINITE_STEPS):
                truncate_lines(self.output_dir / name, self.state.step)
            with explain_failure(self.output_dir / "recipe.yaml"):
                write_recipe(self.recipe, self.output_dir / "recipe.yaml")
            if self.packs is not None:
                with explain_failure(self.output_dir / PACKS):
                    save_packs(self.packs, self.output_dir / PACKS)
        self.accelerator.wait_for_everyone()
