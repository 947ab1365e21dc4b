"""How `accelerate launch` tells the processes of a run what they are to do: environment variables."""

import os

from accelerate.utils import DistributedType

CONFIGS = "train/accelerate/"  # where the shipped files of `accelerate launch --config_file` are


def is_set(name: str) -> bool:
    """Return whether an environment variable says yes."""
    return os.environ.get(name, "false").lower() in ("true", "1", "yes")


def num_processes() -> int:
    """Return the number of processes that the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def switch_of(kind: DistributedType) -> str:
    """Return the name of the variable by which the launcher asks for `kind`."""
    return f"ACCELERATE_USE_{kind.value}"


def requested_type() -> DistributedType:
    """Return what the launcher asks for."""
    asked = [kind for kind in DistributedType if is_set(switch_of(kind))]
    if asked:
        return asked[0]
    # MULTI_GPU is accelerate's word for several plain processes, on CPUs too
    return DistributedType.MULTI_GPU if num_processes() > 1 else DistributedType.NO
