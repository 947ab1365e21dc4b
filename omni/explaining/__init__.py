"""Explanations: which parts of its media a model's answer stands on, word by word, measured in two ways."""

from omni.explaining.cost import MOST_PASSES, Cost
from omni.explaining.explanation import Explanation
from omni.explaining.medium import ATTENTION, OCCLUSION, ExplainedMedium
from omni.explaining.words import Word

__all__ = ["ATTENTION", "MOST_PASSES", "OCCLUSION", "Cost", "ExplainedMedium", "Explanation", "Word"]
