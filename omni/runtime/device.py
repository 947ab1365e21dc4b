"""The device on which commands compute unless the user names another."""

import torch


def default_device() -> str:
    """Return the GPU if there is one (the current one of several), else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"
