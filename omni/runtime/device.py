"""Where the commands compute unless they are told."""

import torch


def default_device() -> str:
    """The GPU if there is one, else the CPU; of several GPUs the current one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
