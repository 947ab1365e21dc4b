"""The model of a run with its objective: built, spread over devices and set up to be trained as the recipe says."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from omni.config.components import build
from omni.model.card import ModelCard
from omni.model.encoder_stack import EncoderStack
from omni.recipe.schema import Recipe
from train.run.checkpoints import load_training_state
from train.run.efficiency import choose_pack_attention, llm_of, prepare_llm
from train.run.initialisation import make_model
from train.run.optimizer import build_optimizer
from train.run.saved_run import SavedRun
from train.run.step import TrainingStep
from train.strategies import Lockstep, StepRunner, Strategy


@dataclass(frozen=True)
class Learner:
    """What is trained.

    Args:
        training_step: model and objective.
        lockstep: how the processes agree on runs of an LLM that is spread over them; None = it is not.
        origin_lines: where the weights of each part are from, and whether they are trained, in words.
        card_before: the card of the model that the run began with.
    """

    training_step: TrainingStep
    lockstep: Lockstep | None
    origin_lines: list[str]
    card_before: ModelCard

    @property
    def model(self) -> EncoderStack:
        """The model."""
        return self.training_step.model

    @property
    def instruction_readers(self) -> list[str]:
        """Modalities whose adapters read the user's text; none where there is no LLM, and so no adapter."""
        if self.model.language_model is None:
            return []
        parts = {name: self.model.modality(name).trained_part for name in self.model.modalities}
        return [name for name, adapter in parts.items() if adapter.uses_instruction]

    def finish_runs(self) -> None:
        """Run along until no process has a run of the spread LLM left; before processes wait for each other."""
        if self.lockstep is not None:
            self.lockstep.finish()


def make_learner(
    recipe: Recipe, saved: SavedRun | None, strategy: Strategy, accelerator: Accelerator, global_batch_size: int
) -> Learner:
    """Return the model that the recipe begins with, or that of the saved run, with its objective.

    Raises:
        FileNotFoundError, ValueError: naming the key of the recipe that does not fit.
    """
    config, device = recipe.train, accelerator.device
    # An LLM that will be spread over the processes need not fit on one device.
    loading_device = torch.device("cpu") if strategy.shards_llm else device
    model, origin_lines = make_model(recipe, None if saved is None else saved.folder, loading_device)
    model.remember_classes(Path(config.output_dir))  # on every machine; the model is saved on one
    model.modalities.to(device)
    llm = llm_of(model, config)
    strategy.check(llm, config)
    if llm is not None and config.packing:
        choose_pack_attention(llm, config, device)
    lockstep = strategy.shard_llm(llm, device) if llm is not None and strategy.shards_llm else None
    card_before = model.card if saved is None else saved.card_before
    objective = build(recipe.objective, "objective")
    if isinstance(objective, torch.nn.Module):
        objective.to(device)
    activation_context = nullcontext if llm is None else prepare_llm(llm, config)
    training_step = TrainingStep(model, objective, config.packing, activation_context)
    training_step.contract.check_batch(global_batch_size)
    return Learner(training_step, lockstep, origin_lines, card_before)


def make_runner(
    learner: Learner, recipe: Recipe, saved: SavedRun | None, strategy: Strategy, accelerator: Accelerator
) -> StepRunner:
    """Return what runs the steps, with the optimiser's state and the objective's where a run goes on.

    Raises:
        ValueError: nothing is trained, or the optimiser does not go together with the recipe or the strategy.
    """
    optimizer = build_optimizer(learner.training_step, recipe.train)
    if saved is not None:
        load_training_state(saved.folder, learner.training_step, optimizer)
    return strategy.make_runner(
        accelerator, learner.training_step, optimizer, learner.lockstep, recipe.train.max_grad_norm
    )
