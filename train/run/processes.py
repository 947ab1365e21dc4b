"""The processes of a run, as accelerate makes them, and how they tell each other what they found."""

import os
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import gather_object

from omni.runtime.rendezvous import meet_other_processes
from train.strategies.launch import plain_processes

Value = TypeVar("Value")


def from_all(accelerator: Accelerator, value: Value) -> list[Value]:
    """The value of every process, in order; a point where all processes meet."""
    return [value] if accelerator.num_processes == 1 else gather_object([value])


def make_accelerator(precision: str) -> Accelerator:
    """Accelerate for this machine; what else the launcher asks for is up to `train.strategies`."""
    has_device = torch.accelerator.is_available()
    handlers: list[Any] = []
    if not has_device and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # On CPU nothing chooses a backend by itself; and on one process accelerate fails if one is chosen.
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    meet_other_processes()
    with plain_processes():
        return Accelerator(cpu=not has_device, mixed_precision=precision, kwargs_handlers=handlers)
