"""The processes of a run, as accelerate makes them, and how they tell each other what they found."""

import os
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import gather_object
from torch._C._distributed_c10d import PrefixStore, TCPStore  # where torch.distributed has them from

from train.strategies.launch import plain_processes

Value = TypeVar("Value")


def from_all(accelerator: Accelerator, value: Value) -> list[Value]:
    """The value of every process, in order; a point where all processes meet."""
    return [value] if accelerator.num_processes == 1 else gather_object([value])


def make_accelerator(precision: str) -> Accelerator:
    """Accelerate for this machine; what else the launcher asks for is up to `train.strategies`."""
    has_device = torch.accelerator.is_available()
    # Buffers are frozen and equal everywhere. Broadcasting them would also make encoders hash their weights again.
    handlers: list[Any] = [DistributedDataParallelKwargs(broadcast_buffers=False)]
    if not has_device and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # On CPU nothing chooses a backend by itself; and on one process accelerate fails if one is chosen.
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    _meet_after_restart(None if has_device else "gloo")
    with plain_processes():
        return Accelerator(cpu=not has_device, mixed_precision=precision, kwargs_handlers=handlers)


def _meet_after_restart(backend: str | None) -> None:
    """After a restart by the launcher, meet under names of this attempt's own.

    The launcher's store lives on when the processes are started again. Under the old names they would find the
    addresses of those that died, and try to reach them.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or torch.distributed.is_initialized():
        return
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    owns_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and rank == 0
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, world_size, is_master=owns_store, multi_tenant=True)
    named = PrefixStore(f"attempt_{attempt}", store)
    torch.distributed.init_process_group(backend, store=named, rank=rank, world_size=world_size)
