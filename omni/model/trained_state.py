"""The file of trained weights in a folder: what is in it, and how it is loaded strictly."""

from collections.abc import Collection
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from omni.model.encoder_stack import EncoderStack
from omni.model.trainable import Part, part_of, saved_names
from omni.runtime.parameter_names import plain_name


def trained_state(model: EncoderStack) -> dict[str, Tensor]:
    """Return what a folder of `model` holds: plain name -> copy on the CPU."""
    state = {plain_name(name): value for name, value in model.state_dict().items()}
    return {name: state[name].detach().cpu().contiguous().clone() for name in saved_names(model)}


def load_trained_state(
    model: EncoderStack, path: Path, *, only: Collection[Part] | None = None, ignored: Collection[Part] = ()
) -> None:
    """Load the trained weights of the file at `path` strictly into `model`.

    Args:
        model: built as the `config.yaml` next to the file says, its `unfrozen` names set.
        path: the file.
        only: load nothing but the weights of these parts, and expect no others; default: all.
        ignored: parts in the file that the model does not have.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: a damaged file, or missing, unexpected or misshaped keys, all named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the model folder is not whole")
    try:
        state = load_file(str(path))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    state = {name: value for name, value in state.items() if part_of(name) not in ignored}
    own = {plain_name(name): value for name, value in model.state_dict().items()}
    names = saved_names(model)
    unknown = sorted(set(names) - set(own))
    if unknown:
        raise ValueError(f"{path.parent / 'config.yaml'}: unfrozen names {unknown[:5]}, which this model does not have")
    expected = {name: own[name] for name in names}
    if only is not None:
        state = {name: value for name, value in state.items() if part_of(name) in only}
        expected = {name: value for name, value in expected.items() if part_of(name) in only}
    problems = [f"missing: {name}" for name in sorted(set(expected) - set(state))]
    problems += [f"unexpected: {name}" for name in sorted(set(state) - set(expected))]
    problems += [
        f"shape of {name}: {list(state[name].shape)} in the file, {list(expected[name].shape)} in the model"
        for name in sorted(set(state) & set(expected))
        if state[name].shape != expected[name].shape
    ]
    if problems:
        raise ValueError(f"{path} does not fit the model of its config.yaml:\n  " + "\n  ".join(problems))
    with torch.no_grad():
        for name, value in state.items():
            expected[name].copy_(value)
