"""What training minimises; a recipe names one by class path."""

from train.objectives.base import Objective
from train.objectives.language_model import LanguageModelObjective

__all__ = ["LanguageModelObjective", "Objective"]
