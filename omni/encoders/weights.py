"""Find the file of an encoder's weights, read it safely, load it strictly."""

import argparse
import contextlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from omni.runtime.hub import check_model
from omni.starter import resolve

# Settings and numbers, which published checkpoints hold besides tensors and which do nothing when they are read.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64")),
    *((np.float64(0).__reduce__()[0], f"numpy.{module}.multiarray.scalar") for module in ("core", "_core")),
]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def parse_dtype(name: str) -> torch.dtype:
    """Return the number format of that name; ValueError for an unknown one."""
    if name not in DTYPES:
        raise ValueError(f"dtype is {name!r}; allowed: {', '.join(DTYPES)}")
    return DTYPES[name]


def find_weights(location: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Return `location` itself if it is a file, else the only file in that folder with the first suffix that occurs.

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
    """Read tensors by name from a `.safetensors` file or a torch checkpoint; never run code from the file.

    Where the format allows it, tensors stay in the file until they are used.
    """
    return _state_dict(read_checkpoint(path), path)


def read_checkpoint(path: Path) -> Any:
    """Read a file of weights: tensors by name, with whatever surrounds them. Never run code from the file.

    Raises ValueError if it is damaged, is no checkpoint, or holds something that only running code could read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            # Only the zip format, torch's since 1.6, can be mapped into memory.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # the errors of a file that is no checkpoint are of a dozen types
        if isinstance(error, OSError) and str(path) in str(error):  # it does not exist, or may not be read
            raise
        code = re.search(r"(?:GLOBAL|Unsupported class) (?!torch\.)([\w.]+)", str(error))
        if code:
            raise ValueError(
                f"{path} holds more than tensors and plain values: {code[1]}, which could run code when it is read, so "
                "it is not. If you trust it, take its tensors out in a process of their own and save them apart"
            ) from error
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().split("\n")[0]
        raise ValueError(f"{path} is damaged or no file of weights ({reason}); download it again") from error


def part_of_checkpoint(checkpoint: Any, key: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors under `key` of a checkpoint, or all of them if it holds nothing but weights."""
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
    """Load `state` into `module`.

    assign: take the tensors themselves, in their own dtype, instead of copying them into the module's.

    Raises:
        KeyMismatchError: a key is missing, unexpected or misshaped; the message names it.
        ValueError: weights are no floating-point numbers, or not finite.
    """
    check_keys(module, state, source)
    module.load_state_dict(state, assign=assign)
    check_finite(module, source)


class KeyMismatchError(ValueError):
    """The weights do not fit the module. The message names a few of the keys, the attributes hold all."""

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


def check_named_model(arguments: Mapping[str, Any]) -> None:
    """Check that the argument `name` of an encoder is a model of transformers that can be had.

    Raises:
        FileNotFoundError: it is none, as `omni.runtime.hub.check_model` says.
    """
    if isinstance(name := arguments.get("name"), str):
        check_model(resolve(name), "name", arguments.get("revision"))


@contextlib.contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Turn errors of a library that reads damaged files, of a dozen types, into ValueErrors that name `source`."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # what libraries raise for damaged files has no common class
        if type(error) is ValueError and str(source) in str(error):
            raise
        reason = str(error).strip() or "no reason given"
        if type(error) is ValueError:
            raise ValueError(f"{source}: {reason}") from error
        raise ValueError(
            f"{source} is damaged, or its settings are wrong ({type(error).__name__}: {reason}); download it again"
        ) from error


def check_finite(module: nn.Module, source: str | Path) -> None:
    """Raise a ValueError that names the weights of the module that hold NaN or infinite numbers."""
    bad = [name for name, weight in module.named_parameters() if not _is_finite(weight)]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(f"{source} holds NaN or infinite numbers in {', '.join(bad[:5])}{more}; download it again")


def _is_finite(weight: Tensor) -> bool:
    # A sum costs no memory. It may overflow where no number does, so all numbers are checked only if it is infinite.
    return bool(weight.sum(dtype=torch.float32).isfinite()) or bool(weight.isfinite().all())


def check_keys(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Raise a KeyMismatchError for missing, unexpected or misshaped keys, and a ValueError for other number types."""
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
    for name, tensor in expected.items():
        if tensor.is_floating_point() and not state[name].is_floating_point():
            raise ValueError(f"{source} holds {state[name].dtype} in {name}, which are no weights; download it again")
