"""DeepSpeed on top of the processes that accelerate made."""

from typing import Any, cast

import torch

from omni.runtime.quiet import quiet_loading


def start_deepspeed(device: torch.device) -> Any:
    """The module `deepspeed`, ready to be used by all processes; a second call does nothing more."""
    with quiet_loading():
        import deepspeed
        import deepspeed.ops

    if device.type == "cpu":
        # Its all-reduce over shared memory would first be compiled, for minutes on a busy machine, and a process that
        # is killed meanwhile leaves a lock on which all later ones wait for ever. Gloo does the same.
        cast(Any, deepspeed.ops).__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False)
    return deepspeed
