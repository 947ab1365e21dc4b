"""The attention weights of an LLM, as means over heads, while it runs.

transformers gives them with `eager` attention alone, so the LLM is switched to it inside `recording`, and back. Each
layer's weights are reduced as soon as they are there: those of all heads of a long conversation would fill the memory.
Shapes: B rows, H heads, L length, P positions that are asked about.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from omni.llm.language_model import LanguageModel


@contextmanager
def recording(llm: LanguageModel, positions: Sequence[int]) -> Iterator[list[Tensor]]:
    """Yield a list that gets, of each layer that attends while the LLM runs one row inside, the weights [P, L] float32.

    It is the mean over heads, of the rows at `positions`, each of which sums to 1. The list stays empty where the LLM
    has no attention, or does not give its weights. Nobody else may run the LLM meanwhile.
    """
    model = llm.causal_lm
    found: list[Tensor] = []
    last: Callable[[], Tensor | None] = lambda: None  # noqa: E731
    rows = torch.tensor(list(positions))

    def note(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        nonlocal last
        for value in output if isinstance(output, tuple) else ():
            is_square = isinstance(value, Tensor) and value.ndim == 4 and value.shape[0] == 1
            if not is_square or value.shape[2] != value.shape[3] or value.shape[3] <= max(positions):
                continue
            if last() is not value:  # an outer module may return what an inner one did
                last = weakref.ref(value)
                found.append(value[0][:, rows.to(value.device)].float().mean(0))

    handles = [module.register_forward_hook(note) for module in model.modules() if _attends(module)]
    try:
        with _eager(model):
            yield found
    finally:
        for handle in handles:
            handle.remove()


def _attends(module: nn.Module) -> bool:
    return "attention" in type(module).__name__.lower() or "attn" in type(module).__name__.lower()


@contextmanager
def _eager(model: nn.Module) -> Iterator[None]:
    configs = {id(config): config for config in _configs(model)}
    # the field behind the property, which would hand its value on to the parts of a config
    before = {key: config._attn_implementation_internal for key, config in configs.items()}
    try:
        for config in configs.values():
            config._attn_implementation_internal = "eager"
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation_internal = before[key]


def _configs(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        config = getattr(cast(Any, module), "config", None)
        if hasattr(config, "_attn_implementation_internal"):
            yield config
