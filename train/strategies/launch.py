"""What the launcher asks for: `accelerate launch` tells its processes by environment variables."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_DEEPSPEED, _FSDP = "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP"
CONFIGS = "train/accelerate/"


@dataclass(frozen=True)
class Launch:
    """How the processes of a run share the work.

    zero_stage: 0 = no DeepSpeed; 1 and 2 = its sharded optimiser; 3 = the same, and the LLM's layers are sharded.
    fsdp: the LLM's layers are sharded by torch's `fully_shard` (FSDP2).
    """

    zero_stage: int = 0
    deepspeed_config: dict[str, Any] = field(default_factory=dict)
    fsdp: bool = False
    reshard_after_forward: bool = True
    offload_optimizer: bool = False
    offload_parameters: bool = False

    @property
    def shards_llm(self) -> bool:
        return self.fsdp or self.zero_stage == 3


def read_launch() -> Launch:
    """What the environment asks for.

    Raises:
        ValueError: DeepSpeed is not installed, or something that is not supported, such as FSDP version 1.
    """
    if _is_set(_DEEPSPEED):
        launch = _read_deepspeed()
    elif _is_set(_FSDP):
        launch = _read_fsdp()
    else:
        launch = Launch()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return launch
    if launch.offload_optimizer or launch.offload_parameters:
        raise ValueError(
            "offload to the CPU's memory needs at least two processes; add --num_processes 2, or launch one process "
            f"with {CONFIGS}single.yaml"
        )
    return Launch()  # one process has nobody to share with, and computes the same


@contextlib.contextmanager
def plain_processes() -> Iterator[None]:
    """While this is active accelerate sees plain processes: what it is asked for is done by `train.strategies` itself.

    Accelerate would hand every weight to DeepSpeed or FSDP, frozen encoders and adapters too, whose collectives then
    depend on which media a process meets. And it would make transformers load the LLM in pieces, or on rank 0 only.
    """
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # transformers reads it on each later load
    hidden = {name: os.environ.pop(name) for name in (_DEEPSPEED, _FSDP) if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1", "yes")


def _read_deepspeed() -> Launch:
    if importlib.util.find_spec("deepspeed") is None:
        raise ValueError("the launcher asks for DeepSpeed, which is not installed: pip install 'omni[deepspeed]'")
    from accelerate import DeepSpeedPlugin  # which cannot be made without deepspeed

    config = DeepSpeedPlugin().deepspeed_config
    zero = config["zero_optimization"]
    devices = {name: (zero.get(f"offload_{name}") or {}).get("device", "none") for name in ("optimizer", "param")}
    for name, device in devices.items():
        if device not in ("none", "cpu"):
            raise ValueError(f"deepspeed_config: offload_{name}_device is {device!r}; none and cpu are supported")
    for section in ("fp16", "optimizer", "scheduler"):
        if section in config and (section != "fp16" or config[section].get("enabled")):
            raise ValueError(
                f"deepspeed_config sets {section!r}, which the recipe decides (train.precision, train.lr, "
                f"train.schedule and so on); remove it, or use a file of {CONFIGS}"
            )
    if zero["stage"] not in (1, 2, 3):
        raise ValueError(f"deepspeed_config: zero_stage is {zero['stage']!r}; use 1, 2 or 3, or {CONFIGS}ddp.yaml")
    return Launch(
        zero_stage=int(zero["stage"]),
        deepspeed_config=config,
        offload_optimizer=devices["optimizer"] == "cpu",
        offload_parameters=devices["param"] == "cpu" and zero["stage"] == 3,
    )


def _read_fsdp() -> Launch:
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise ValueError(f"fsdp_config: fsdp_version is {version}; only 2 is supported, see {CONFIGS}fsdp2.yaml")
    return Launch(
        fsdp=True,
        reshard_after_forward=_is_set("FSDP_RESHARD_AFTER_FORWARD"),
        offload_parameters=_is_set("FSDP_OFFLOAD_PARAMS"),
    )
