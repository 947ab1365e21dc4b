"""Kinds of tasks: how each one asks and collects. `Procedure` is the contract of a kind of your own."""

from collections.abc import Callable
from typing import Any

from eval.kinds import Deletion, Probing, Retrieve
from eval.run.kinds.base import Collected, Procedure, with_bad
from eval.run.kinds.choose import ChooseProcedure
from eval.run.kinds.choose_several import ChooseSeveralProcedure
from eval.run.kinds.conflict import ConflictProcedure
from eval.run.kinds.deletion import DeletionProcedure
from eval.run.kinds.generate import GenerateProcedure
from eval.run.kinds.match import MatchProcedure
from eval.run.kinds.probing import ProbingProcedure
from eval.run.kinds.retrieve import RetrieveProcedure
from eval.task import Choose, Conflict, Generate, Kind, Match

__all__ = ["Collected", "Procedure", "procedure_of", "with_bad"]

# What `eval.task` declares stays plain data, so that a file of tasks loads without anything that runs them.
_PROCEDURES: dict[type, Callable[[Any], Procedure]] = {
    Choose: lambda kind: ChooseSeveralProcedure(kind) if kind.several else ChooseProcedure(kind),
    Conflict: ConflictProcedure,
    Deletion: DeletionProcedure,
    Generate: GenerateProcedure,
    Match: MatchProcedure,
    Probing: ProbingProcedure,
    Retrieve: RetrieveProcedure,
}


def procedure_of(kind: Kind) -> Procedure:
    """Return how a kind is carried out: by itself where it is a `Procedure`, else by that of its declaration.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(kind, Procedure):
        return kind
    for declared in type(kind).__mro__:
        if declared in _PROCEDURES:
            return _PROCEDURES[declared](kind)
    raise ValueError(f"kind {type(kind).__name__} says neither what to ask nor what to collect; see eval.run.kinds")
