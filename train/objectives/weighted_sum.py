"""Several objectives at once."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from omni.config.components import build
from omni.model import OmniModel
from omni.model.batch import Example
from train.objectives.base import ModelKind, Objective, PlanningObjective, load_state, parts_of, runs_llm, state_of


class WeightedSum(nn.Module):
    """A weighted sum of objectives, such as the language-model loss with a little alignment.

    Args:
        objectives: each with the keys class_path, init_args (optional) and weight (1 if not given).
    """

    trains: ClassVar[ModelKind] = "any"  # its parts say which

    def __init__(self, objectives: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        if not objectives:
            raise ValueError("objective.init_args.objectives is empty; name at least one objective")
        self.weights = [float(one.get("weight", 1.0)) for one in objectives]
        self.objectives: list[Objective] = []
        for index, one in enumerate(objectives):
            component = {key: value for key, value in one.items() if key != "weight"}
            objective = build(component, f"objective.init_args.objectives[{index}]")
            self.objectives.append(objective)
            if isinstance(objective, nn.Module):
                self.add_module(str(index), objective)
        self.runs_llm = any(map(runs_llm, self.objectives))

    def forward(
        self, model: OmniModel, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `train.objectives.Objective`; each part is logged under its class's name."""
        # One that planned the step has embedded this micro-batch before, with dropout as the seed of the pass gives it.
        # To draw the same again it must be the first to run.
        order = sorted(range(len(self.objectives)), key=lambda index: not _plans(self.objectives[index]))
        results = {index: self.objectives[index](model, batch, num_answer_tokens, packed=packed) for index in order}
        total = torch.zeros((), device=model.device)
        metrics: dict[str, Tensor] = {}
        for index, (weight, objective) in enumerate(zip(self.weights, self.objectives, strict=True)):
            loss, found = results[index]
            total = total + weight * loss
            metrics |= {type(objective).__name__: loss.detach(), **found}
        return total, metrics

    def objective_state(self) -> dict[str, Any]:
        """Return the state of all parts, each name behind the number of its part."""
        states = enumerate(map(state_of, self.objectives))
        return {f"{index}.{name}": value for index, state in states for name, value in state.items()}

    def load_objective_state(self, state: dict[str, Any]) -> None:
        """Give each part its state again."""
        for index, objective in enumerate(self.objectives):
            prefix = f"{index}."
            found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            load_state(objective, found)


def _plans(objective: Objective) -> bool:
    return any(isinstance(part, PlanningObjective) for part in parts_of(objective))
