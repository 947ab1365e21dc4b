"""From what `accelerate launch` asks for to the strategy and the processes of a run."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import DistributedType

from omni.runtime.rendezvous import meet_other_processes
from train.strategies.base import Strategy
from train.strategies.deepspeed_zero import DeepSpeedStrategy
from train.strategies.environment import CONFIGS, num_processes, requested_type, switch_of
from train.strategies.fully_sharded import FullyShardedStrategy
from train.strategies.plain import PlainStrategy

STRATEGIES: dict[DistributedType, type[Strategy]] = {
    kind: strategy
    for strategy in (PlainStrategy, DeepSpeedStrategy, FullyShardedStrategy)
    for kind in strategy.distributed_types
}
"""accelerate's `distributed_type` -> how its processes share a run."""


def read_strategy() -> Strategy:
    """Return the strategy that the environment asks for.

    Raises:
        ValueError: a package is not installed, or something that is not supported, such as FSDP version 1.
    """
    kind = requested_type()
    if kind not in STRATEGIES:
        allowed = ", ".join(known.value for known in STRATEGIES)
        raise ValueError(f"the launcher asks for {kind.value}, which is not supported; use one of {allowed}")
    strategy = STRATEGIES[kind].from_environment()
    if num_processes() > 1:
        return strategy
    if strategy.offloads:
        raise ValueError(
            "offload to the CPU's memory needs at least two processes; add --num_processes 2, or launch one process "
            f"with {CONFIGS}single.yaml"
        )
    # one process has nobody to share with, and computes the same
    return STRATEGIES[DistributedType.NO].from_environment()


def make_accelerator(precision: str) -> Accelerator:
    """Return accelerate for this machine; what else the launcher asks for is up to the strategy."""
    has_device = torch.accelerator.is_available()
    handlers: list[Any] = []
    if not has_device and num_processes() > 1:
        # On CPU nothing chooses a backend by itself; and on one process accelerate fails if one is chosen.
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    meet_other_processes()
    with plain_processes():
        return Accelerator(cpu=not has_device, mixed_precision=precision, kwargs_handlers=handlers)


@contextlib.contextmanager
def plain_processes() -> Iterator[None]:
    """While this is active accelerate sees plain processes: what it is asked for is done by `train.strategies` itself.

    Accelerate would hand every weight to DeepSpeed or FSDP, frozen encoders and adapters too, whose collectives then
    depend on which media a process meets. And it would make transformers load the LLM in pieces, or on rank 0 only.
    """
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # transformers reads it on each later load
    names = [switch_of(kind) for kind in STRATEGIES]
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
