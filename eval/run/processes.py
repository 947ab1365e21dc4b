"""Several processes that share one evaluation: `accelerate launch -m eval` or `torchrun -m eval`.

The first process plans, hands out shares of the requests and collects the answers; the others answer, and end. All of
it goes over the CPUs (gloo), so that nothing is asked of the processes' devices but the model.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist

from omni.runtime.device import default_device
from omni.runtime.rendezvous import meet_other_processes

# To load models that are read from one disk may take some while; after that processes know when one of them ends.
_MEETING = timedelta(minutes=30)
# Planning, or a share that is larger than others, may take hours, and that is no failure.
_WORKING = timedelta(days=7)

Value = TypeVar("Value")


class ProcessLostError(OSError):
    """Another process of the evaluation is gone."""


class Processes(Protocol):
    """The processes of one evaluation.

    Attributes:
        rank: the number of this one, from 0 on.
        count: how many there are.
    """

    rank: int
    count: int

    def hand_out(self, values: Sequence[Value] | None) -> Value | None:
        """Return this process' value of those that the first process gives, one for each; None = it gave up.

        Raises:
            ProcessLostError: another process has ended.
        """
        ...

    def collect(self, value: Value) -> list[Value]:
        """Return the values of all processes, in order, on the first one; the others get nothing.

        Raises:
            ProcessLostError: another process has ended.
        """
        ...


class OneProcess:
    """The only process."""

    rank = 0
    count = 1

    def hand_out(self, values: Sequence[Value] | None) -> Value | None:
        """See `Processes`."""
        return None if values is None else values[0]

    def collect(self, value: Value) -> list[Value]:
        """See `Processes`."""
        return [value]


class LaunchedProcesses:
    """The processes that a launcher has started, over a group of gloo."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.rank = dist.get_rank(group)
        self.count = dist.get_world_size(group)
        self.has_handed_out = False
        self._group = group

    def hand_out(self, values: Sequence[Value] | None) -> Value | None:
        """See `Processes`."""
        self.has_handed_out = True
        found: list[Value | None] = [None]
        given = [None] * self.count if values is None and self.rank == 0 else values
        with _told():
            dist.scatter_object_list(found, None if given is None else [*given], src=0, group=self._group)
        return found[0]

    def collect(self, value: Value) -> list[Value]:
        """See `Processes`."""
        found: list[Any] | None = [None] * self.count if self.rank == 0 else None
        with _told():
            dist.gather_object(value, found, dst=0, group=self._group)
        return found or []


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Meet the processes of the same launch; inside, they share an evaluation. One process is alone.

    Where the first one ends without having handed anything out, the others are told.

    Raises:
        ProcessLostError, TimeoutError: not all of them came.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield OneProcess()
        return
    with _told():
        meet_other_processes()
        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=_MEETING)
        group = dist.new_group(backend="gloo", timeout=_WORKING)
        assert isinstance(group, dist.ProcessGroup)  # every process is in it
        processes = LaunchedProcesses(group)
    try:
        yield processes
    finally:
        if processes.rank == 0 and not processes.has_handed_out:
            with suppress(ProcessLostError):  # what made this one end is what to say
                processes.hand_out(None)
        # Not destroyed: that would wait for the others, and the first process goes on alone when all is answered.


def own_device() -> str:
    """Return the device of this process: the GPU of its number on this machine, the default one without a launcher."""
    device = default_device()
    number = os.environ.get("LOCAL_RANK")
    if device != "cuda" or number is None:
        return device
    return f"cuda:{int(number) % torch.cuda.device_count()}"


def keep_models_whole() -> None:
    """Let each process load all weights, whatever the launcher's settings for training say of FSDP."""
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # transformers reads it on each load


@contextmanager
def _told() -> Iterator[None]:
    """Say in words that a process is gone; gloo says which connection was closed."""
    try:
        yield
    except (RuntimeError, TimeoutError) as error:
        reason = str(error).partition("\n")[0]
        raise ProcessLostError(
            f"another process of this evaluation has ended or cannot be reached ({reason}); what was answered is "
            "kept, and the same command goes on from there"
        ) from error
