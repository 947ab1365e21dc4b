"""Several objectives at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omni.config.components import build
from omni.model import OmniModel
from omni.model.batch import Example
from train.objectives.base import Objective, runs_llm


class WeightedSum(nn.Module):
    """A weighted sum of objectives, such as the language-model loss with a little alignment.

    Args:
        objectives: each with the keys class_path, init_args (optional) and weight (1 if not given).
    """

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
        total = torch.zeros((), device=model.device)
        metrics: dict[str, Tensor] = {}
        for weight, objective in zip(self.weights, self.objectives, strict=True):
            loss, found = objective(model, batch, num_answer_tokens, packed=packed)
            total = total + weight * loss
            metrics |= {type(objective).__name__: loss.detach(), **found}
        return total, metrics
