"""Weights of an encoder on disk: find the file, read it safely, load it strictly."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from omni.starter import resolve


def find_weights(location: str | Path, suffixes: tuple[str, ...]) -> Path:
    """`location` itself if it is a file, else the only file in that folder with the first suffix that occurs.

    Names of the form `starter:NAME` are resolved to the folders of the starter assets.
    Raises FileNotFoundError if there is none, ValueError if there are several.
    """
    path = Path(resolve(str(location)))
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"no weights at {str(location)!r}: neither a file nor a folder")
    for suffix in suffixes:
        found = sorted(path.rglob(f"*{suffix}"))
        if len(found) > 1:
            names = ", ".join(str(item.relative_to(path)) for item in found)
            raise ValueError(f"{path} holds several {suffix} files ({names}): give the path of one of them")
        if found:
            return found[0]
    raise FileNotFoundError(f"{path} holds no file ending in {' or '.join(suffixes)}")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a `.safetensors` file or a torch checkpoint; never runs code from the file."""
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds a {type(state).__name__}, not a state dict (names -> tensors)")
    return dict(state)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Loads `state` into `module`; a missing, unexpected or misshaped key is a ValueError that names it."""
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    misshaped = [
        f"{name} is {list(state[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    ]
    problems = [
        f"{kind}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", sorted(misshaped)))
        if names
    ]
    if problems:
        raise ValueError(f"{source} does not fit {type(module).__name__}; " + "; ".join(problems))
    module.load_state_dict(state)
