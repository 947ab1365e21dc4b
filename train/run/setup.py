"""The steps and the samples of a run, from its data, its model and what it goes on from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from omni.readers.sources import Source
from omni.recipe.schema import Recipe, TrainConfig
from train.data.lengths import MeasuredDraws, SampleLengths
from train.data.packing import PACKS, PackPlan, load_packs, plan_packs
from train.data.prepared import PreparedSamples
from train.data.run_data import RunData
from train.data.step_plan import StepPlan, draws_of_epochs, plan_steps
from train.feature_cache.release import EncoderRelease, attach_feature_cache
from train.run.learner import Learner
from train.run.saved_run import SavedRun
from train.runtime.processes import from_all


@dataclass(frozen=True)
class SamplePreparation:
    """Makes samples of data sets into what the objective takes."""

    learner: Learner
    config: TrainConfig

    def __call__(self, sources: Sequence[Source], augmented: bool = False) -> PreparedSamples:
        """Return the prepared samples of `sources`; `augmented`: with random changes, as for training."""
        views = self.config.feature_cache_views if augmented else None
        prepare = self.learner.training_step.contract.prepare
        return PreparedSamples(sources, self.learner.model, self.config.seed, self.config.max_length, prepare, views)


def plan_run(
    recipe: Recipe,
    data: RunData,
    prepared: SamplePreparation,
    saved: SavedRun | None,
    accelerator: Accelerator,
    global_batch_size: int,
) -> StepPlan:
    """Return the steps of the run; packs are planned by all processes together, or as the saved run planned them."""
    packs = None
    if recipe.train.pack_tokens is not None:
        packs = _saved_packs(Path(recipe.train.output_dir), saved, accelerator)
        packs = packs or _plan_packs(recipe.train, data, prepared, accelerator, global_batch_size)
    return plan_steps(data.plan, packs, recipe.train, global_batch_size)


def start_feature_cache(
    learner: Learner, data: RunData, steps: StepPlan, config: TrainConfig, first_step: int, warn: bool
) -> EncoderRelease:
    """Give the model the feature cache of the recipe, and return what drops encoders that it makes needless.

    It takes the steps, which are planned without it: lengths must not depend on what is cached.
    """
    attach_feature_cache(learner.model, config, warn)
    return EncoderRelease(learner.model, data.plan, config, steps.num_draws_until(first_step))


def _saved_packs(output_dir: Path, saved: SavedRun | None, accelerator: Accelerator) -> PackPlan | None:
    found = load_packs(output_dir / PACKS) if accelerator.is_main_process and saved is not None else None
    return from_all(accelerator, found)[0]


def _plan_packs(
    config: TrainConfig, data: RunData, prepared: SamplePreparation, accelerator: Accelerator, global_batch_size: int
) -> PackPlan:
    llm = prepared.learner.model.language_model
    assert llm is not None  # a recipe of a model without one is refused with pack_tokens
    assert config.pack_tokens is not None
    lengths = SampleLengths(prepared(data.train), llm.context_length)
    num_draws = draws_of_epochs(data.plan, config)
    return plan_packs(
        data.plan,
        MeasuredDraws(data.plan, lengths, accelerator, config.num_workers, num_draws),
        budget=config.pack_tokens,
        window=config.pack_window,
        num_draws=num_draws,
        num_packs=None if config.steps is None else config.steps * global_batch_size,
    )
