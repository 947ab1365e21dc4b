"""What autograd keeps for the backward pass: a measure of memory that is the same on every machine."""

import torch
from torch import Tensor, nn


class SavedSizes(torch.autograd.graph.saved_tensors_hooks):
    """Elements of 4 bytes that autograd keeps while this is on, weights not counted and each storage once."""

    def __init__(self) -> None:
        self._storages: dict[int, Tensor] = {}  # kept, so that no address is used twice
        super().__init__(self._pack, lambda tensor: tensor)

    def __enter__(self) -> "SavedSizes":  # pyright: ignore[reportIncompatibleMethodOverride]
        super().__enter__()
        return self

    def _pack(self, tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if not isinstance(base, nn.Parameter):
            self._storages[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    @property
    def total(self) -> int:
        """Elements kept so far."""
        return sum(tensor.untyped_storage().nbytes() // 4 for tensor in self._storages.values())
