"""The run around an objective, as far as an objective may use it: processes, seeds, and the size of a step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from accelerate import Accelerator

from omni.model.batch import Example
from train.runtime.processes import from_all
from train.runtime.seeding import seed_everything

Value = TypeVar("Value")


@dataclass(frozen=True)
class RunContext:
    """Given to `plan_step` and `evaluate` of an objective, which all processes call together.

    Args:
        accelerator: the processes of the run.
        seed: of the run.
        step: steps that are done.
        global_batch_size: samples of a step, or with `train.pack_tokens` its packs.
        packed: whether samples stand in one row without pads (`train.packing`).
        before_meeting: called before processes wait for each other; layers that are spread over them end their work.
    """

    accelerator: Accelerator
    seed: int
    step: int
    global_batch_size: int
    packed: bool
    before_meeting: Callable[[], object]

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.accelerator.is_main_process

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass outside the training step, in the run's precision."""
        return self.accelerator.autocast()

    def gather(self, value: Value) -> list[Value]:
        """Return the value of every process, in order; it is pickled. All processes call it equally often."""
        self.before_meeting()
        return from_all(self.accelerator, value)

    def place(self, index: int) -> int:
        """Return the place in the step, over all processes, of this process's micro-batch `index`."""
        return index * self.accelerator.num_processes + self.accelerator.process_index

    def seed_pass(self, index: int) -> None:
        """Seed as the forward pass of this process's micro-batch `index` is seeded, so that dropout is the same."""
        seed_everything(self.seed, self.step, self.place(index))

    def seed_step(self) -> None:
        """Seed all processes alike, for what is drawn once for the whole step."""
        seed_everything(self.seed, self.step)


@dataclass(frozen=True)
class HeldOutBatch:
    """A batch of held-out samples on this process, without those that cannot be used; often the last is smaller.

    places: where each sample stands in the held-out data, whatever the number of processes.
    """

    places: list[int]
    examples: list[Example]
