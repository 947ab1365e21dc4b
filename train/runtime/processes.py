"""How the processes of a run tell each other what they found."""

from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object

Value = TypeVar("Value")


def from_all(accelerator: Accelerator, value: Value) -> list[Value]:
    """Return the value of every process, in order; all processes meet here."""
    return [value] if accelerator.num_processes == 1 else gather_object([value])
