"""All that a run asks of an objective, with the defaults of `train.objectives.base` where it has nothing of its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.samples.messages import Sample
from train.objectives.base import (
    BatchCheckingObjective,
    EvaluatingObjective,
    ModelKind,
    ModelKindObjective,
    Objective,
    PlanningObjective,
    RunBeginningObjective,
    SampleObjective,
    StepBeginningObjective,
    load_state,
    parts_of,
    runs_llm,
    state_of,
)
from train.objectives.context import HeldOutBatch, RunContext
from train.objectives.held_out import answer_token_loss, sample_loss

Part = TypeVar("Part")


class ObjectiveContract:
    """An objective as a run uses it.

    Raises:
        ValueError: several parts of it want to do what only one can.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.parts = parts_of(objective)
        preparing = [part for part in self.parts if isinstance(part, SampleObjective)]
        planning = [part for part in self.parts if isinstance(part, PlanningObjective)]
        evaluating = [part for part in self.parts if isinstance(part, EvaluatingObjective)]
        self.sample_objective = _only(preparing, "each prepare samples in their own way")
        self._planning = _only(planning, "each plan whole steps in their own way")
        self._evaluating = _only(evaluating, "each have a held-out loss of their own")

    @property
    def name(self) -> str:
        """The name of its class, for messages."""
        return type(self.objective).__name__

    @property
    def runs_llm(self) -> bool:
        """Whether its loss takes a pass through the LLM."""
        return runs_llm(self.objective)

    @property
    def prepare(self) -> Callable[[Any, Sample], Example] | None:
        """How it lays out samples; None = as conversations that end with their answer."""
        return None if self.sample_objective is None else self.sample_objective.prepare

    @property
    def plans_steps(self) -> bool:
        """Whether it has to see a whole step before its micro-batches run."""
        return self._planning is not None

    def check_model(self, model: EncoderStack) -> None:
        """Check that it trains models of this kind.

        Raises:
            ValueError: it does not.
        """
        for part in self.parts:
            name, kind = type(part).__name__, _kind_of(part)
            if kind == "llm" and model.language_model is None:
                raise ValueError(
                    f"objective: {name} is for a model with an LLM; a joint space is trained by objective: bind"
                )
            if kind == "joint_space" and model.language_model is not None:
                raise ValueError(f"objective: {name} trains a joint space: the recipe needs joint_space, not model")
        if model.language_model is None and self.sample_objective is None:
            raise ValueError(f"objective: {self.name} needs a method `prepare` to train a joint space, which has none")

    def begin_run(self, model: EncoderStack) -> None:
        """Let it see the model before training. Raises ValueError if it cannot train it."""
        for part in self.parts:
            if isinstance(part, RunBeginningObjective):
                part.begin_run(model)

    def check_batch(self, global_batch_size: int) -> None:
        """Raise ValueError if a step of so many samples, or packs, would train nothing."""
        for part in self.parts:
            if isinstance(part, BatchCheckingObjective):
                part.check_batch(global_batch_size)

    def begin_step(self, num_samples: int) -> None:
        """Tell it that a step begins."""
        for part in self.parts:
            if isinstance(part, StepBeginningObjective):
                part.begin_step(num_samples)

    def plan_step(
        self, model: EncoderStack, micro_batches: Sequence[list[Example]], context: RunContext
    ) -> list[list[Example]]:
        """Let it plan the step; return the micro-batches that run."""
        return [*micro_batches] if self._planning is None else self._planning.plan_step(model, micro_batches, context)

    def evaluate(self, model: EncoderStack, batches: Iterable[HeldOutBatch], context: RunContext) -> tuple[float, int]:
        """Return this process's sum of the held-out loss, and what it is the sum over."""
        if self._evaluating is not None:
            return self._evaluating.evaluate(model, batches, context)
        if self.sample_objective is not None:
            return sample_loss(self.sample_objective, model, batches, context)
        return answer_token_loss(model, batches, context)

    def state(self) -> dict[str, Any]:
        """Return what it keeps from step to step."""
        return state_of(self.objective)

    def load_state(self, state: dict[str, Any]) -> None:
        """Give it what `state` returned."""
        load_state(self.objective, state)


def _only(found: Sequence[Part], what: str) -> Part | None:
    if len(found) > 1:
        raise ValueError(f"objective: {[type(part).__name__ for part in found]} {what}; use one of them")
    return found[0] if found else None


def _kind_of(part: Objective) -> ModelKind:
    if isinstance(part, ModelKindObjective):
        return part.trains
    return "any" if isinstance(part, SampleObjective) else "llm"
