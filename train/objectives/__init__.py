"""What training minimises; a recipe names one by class path."""

from train.objectives.align import AlignObjective
from train.objectives.base import Objective, SampleObjective
from train.objectives.bind import BindObjective
from train.objectives.embedded_rows import EmbeddedRows
from train.objectives.language_model import LanguageModelObjective
from train.objectives.preference import PreferenceObjective
from train.objectives.weighted_sum import WeightedSum
from train.objectives.whole_batch import WholeBatchObjective

__all__ = [
    "AlignObjective",
    "BindObjective",
    "EmbeddedRows",
    "LanguageModelObjective",
    "Objective",
    "PreferenceObjective",
    "SampleObjective",
    "WeightedSum",
    "WholeBatchObjective",
]
