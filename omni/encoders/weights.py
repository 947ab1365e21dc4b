"""Weights of an encoder on disk: find the file, read it safely, load it strictly."""

import argparse
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from omni.starter import resolve

# What published checkpoints hold beside tensors, and what does nothing when it is read: settings and numbers.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64")),
    *((np.float64(0).__reduce__()[0], f"numpy.{module}.multiarray.scalar") for module in ("core", "_core")),
]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def parse_dtype(name: str) -> torch.dtype:
    """The number format of that name; ValueError for an unknown one."""
    if name not in DTYPES:
        raise ValueError(f"dtype is {name!r}; allowed: {', '.join(DTYPES)}")
    return DTYPES[name]


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
    """Tensors by name from a `.safetensors` file or a torch checkpoint; never runs code from the file.

    Where the format allows it, tensors stay in the file until they are used.
    """
    return _state_dict(read_checkpoint(path), path)


def read_checkpoint(path: Path) -> Any:
    """What a file of weights holds: tensors by name, or whatever surrounds them. Never runs code from the file.

    Raises ValueError if it is damaged, no checkpoint, or holds what only running code could read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            # Only the zip format, torch's since 1.6, can be mapped into memory.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # the errors of a file that is no checkpoint are of a dozen types
        code = re.search(r"(?:GLOBAL|Unsupported class) (?!torch\.)([\w.]+)", str(error))
        if code:
            raise ValueError(
                f"{path} holds more than tensors and plain values: {code[1]}, which could run code when it is read, so "
                "it is not. If you trust it, take its tensors out in a process of their own and save them apart"
            ) from error
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().split("\n")[0]
        raise ValueError(f"{path} is damaged or no file of weights ({reason}); download it again") from error


def part_of_checkpoint(checkpoint: Any, key: str, path: Path) -> dict[str, Tensor]:
    """The tensors under `key` of a checkpoint that holds more than weights, or of one that is the weights itself."""
    nested = isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping)
    return _state_dict(checkpoint[key] if nested else checkpoint, path)


def _state_dict(value: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} holds a {type(value).__name__}, not a state dict (names -> tensors)")
    others = [name for name, tensor in value.items() if not isinstance(tensor, Tensor)]
    if others:
        raise ValueError(f"{path} holds more than tensors: {', '.join(map(str, others[:5]))}; expected a state dict")
    return dict(value)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: Path, assign: bool = False) -> None:
    """Loads `state` into `module`; a missing, unexpected or misshaped key is a KeyMismatchError that names it.

    assign: take the tensors themselves, in their own dtype, instead of copying them into the module's.
    """
    check_keys(module, state, source)
    module.load_state_dict(state, assign=assign)


class KeyMismatchError(ValueError):
    """Weights that are not those of a module. The message names a few of the keys, the attributes all."""

    def __init__(
        self, source: Path, module: str, missing: list[str], unexpected: list[str], misshaped: list[str]
    ) -> None:
        self.source, self.module = source, module
        self.missing, self.unexpected, self.misshaped = missing, unexpected, misshaped
        problems = [
            f"{kind}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
            for kind, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", misshaped))
            if names
        ]
        super().__init__(f"{source} does not fit {module}; " + "; ".join(problems))


def check_keys(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """A missing, unexpected or misshaped key is a KeyMismatchError that names it."""
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    misshaped = [
        f"{name} is {list(state[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    ]
    if missing or unexpected or misshaped:
        raise KeyMismatchError(source, type(module).__name__, missing, unexpected, sorted(misshaped))
