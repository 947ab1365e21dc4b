"""How the processes of a run tell each other what they found."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object

Value = TypeVar("Value")
_PASSED_ON = (FileNotFoundError, ValueError)


def from_all(accelerator: Accelerator, value: Value) -> list[Value]:
    """Return the value of every process, in order; all processes meet here."""
    return [value] if accelerator.num_processes == 1 else gather_object([value])


def from_main(accelerator: Accelerator, make: Callable[[], Value]) -> Value:
    """Return what `make` gives on the main process, which alone calls it; all processes meet here.

    Raises:
        FileNotFoundError, ValueError: `make` did, on all processes.
    """
    result: Value | None = None
    error: Exception | None = None
    if accelerator.is_main_process:
        try:
            result = make()
        except _PASSED_ON as found:
            error = found
    results = from_all(accelerator, (accelerator.is_main_process, result, error))
    result, error = next((value, problem) for is_main, value, problem in results if is_main)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # what `make` gave
