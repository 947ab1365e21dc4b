"""Keys and values of rows that come and go, all ending in the same column.

Rows are as wide as the longest of them; the columns before a shorter one are pads, which the mask hides. Layers that
look everywhere have room for more columns, so that a step writes its own and copies nothing; layers with a window keep
no more than that, as transformers does.
Shapes: R rows, H heads, C columns, E width of a head.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

_ROOM = 64  # columns that are made at a time, at least
_SHARE = 8  # or this part of those that there are


class RoomyLayer(DynamicLayer):
    """A cache layer of transformers that writes into tensors with room for more columns.

    Args:
        keys: [R, H, C, E].
        values: the same for values, whose width may be another.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self._all_keys, self._all_values = keys, values
        self.keys, self.values = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add columns to all rows; return all columns."""
        assert self.keys is not None
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if end > self._all_keys.shape[-2]:
            room = end + max(_ROOM, end // _SHARE)
            self._all_keys, self._all_values = _widened(self._all_keys, room), _widened(self._all_values, room)
        self._all_keys[:, :, start:end] = key_states
        self._all_values[:, :, start:end] = value_states
        self.keys, self.values = self._all_keys[:, :, :end], self._all_values[:, :, :end]
        return self.keys, self.values


class RowCache:
    """The cache of a batch whose rows come and go.

    Args:
        cache: what the LLM left of the first rows; `can_hold` says whether it will do.
    """

    def __init__(self, cache: DynamicCache) -> None:
        self.cache = copy.copy(cache)  # what the LLM takes
        self.cache.layers = [_own(layer) for layer in cache.layers]

    @staticmethod
    def can_hold(cache: Any) -> bool:
        """Return whether the layers of a cache are only keys and values, of all columns or of a window of them."""
        kinds = (DynamicLayer, DynamicSlidingWindowLayer)
        return type(cache) is DynamicCache and all(type(layer) in kinds for layer in cache.layers)

    @property
    def _layers(self) -> list[Any]:
        return self.cache.layers

    @property
    def num_columns(self) -> int:
        """Columns that the LLM has read, pads included."""
        return int(self.cache.get_seq_length())

    @property
    def num_bytes(self) -> int:
        """Bytes of its tensors, room for more included."""
        tensors = [tensor for layer in self._layers if layer.is_initialized for tensor in _tensors(layer)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def join(self, other: DynamicCache) -> None:
        """Take in the rows of another cache, behind those that there are."""
        num_columns = max(self.num_columns, int(other.get_seq_length()))
        pairs = zip(self.cache.layers, other.layers, strict=True)
        self.cache.layers = [_joined([mine, new], num_columns) for mine, new in pairs]

    def keep(self, rows: Sequence[int], num_columns: int) -> None:
        """Keep these rows, in this order, and the last columns of them."""
        self.cache.layers = [_part(layer, rows, num_columns) for layer in self.cache.layers]


def _own(layer: Any) -> Any:
    """A layer that grows by writing."""
    if not layer.is_initialized or layer.is_sliding:
        return copy.copy(layer)  # a window's tensors are replaced and never written into
    return RoomyLayer(layer.keys, layer.values)


def _joined(layers: Sequence[Any], num_columns: int) -> Any:
    """One layer with the rows of two, whose last columns are beside each other; pads are 0."""
    if not layers[0].is_initialized:  # it uses the keys of another layer
        return layers[0]
    window = _window(layers[0])
    width = num_columns if window is None else min(num_columns, window - 1)
    room = width + (max(_ROOM, width // _SHARE) if window is None else 0)
    keys, values = (_stacked([getattr(layer, name) for layer in layers], width, room) for name in ("keys", "values"))
    return _layer_like(layers[0], keys, values, width, num_columns)


def _stacked(parts: Sequence[Tensor], width: int, room: int) -> Tensor:
    """[R, H, room, E] with the parts' rows below each other, whose last columns are at `width`."""
    num_rows = sum(len(part) for part in parts)
    found = parts[0].new_empty(num_rows, parts[0].shape[1], room, parts[0].shape[3])
    start = 0
    for part in parts:
        rows = found[start : start + len(part)]
        count = min(part.shape[2], width)
        rows[:, :, : width - count] = 0
        rows[:, :, width - count : width] = part[:, :, part.shape[2] - count :]
        start += len(part)
    return found


def _part(layer: Any, rows: Sequence[int], num_columns: int) -> Any:
    if not layer.is_initialized:
        return layer
    window = _window(layer)
    width = num_columns if window is None else min(num_columns, window - 1)
    room = width + (max(_ROOM, width // _SHARE) if window is None else 0)
    index = torch.tensor(rows, device=layer.keys.device)
    found = []
    for part in (layer.keys, layer.values):
        new = part.new_empty(len(rows), part.shape[1], room, part.shape[3])
        torch.index_select(part[:, :, part.shape[2] - width :], 0, index, out=new[:, :, :width])
        found.append(new)
    return _layer_like(layer, found[0], found[1], width, num_columns)


def _layer_like(layer: Any, keys: Tensor, values: Tensor, width: int, num_columns: int) -> Any:
    if not layer.is_sliding:
        found = RoomyLayer(keys, values)
        found.keys, found.values = keys[:, :, :width], values[:, :, :width]
        return found
    found = copy.copy(layer)
    found.keys, found.values, found.cumulative_length = keys, values, num_columns
    return found


def _window(layer: Any) -> int | None:
    return layer.sliding_window if layer.is_sliding else None


def _widened(tensor: Tensor, num_columns: int) -> Tensor:
    found = tensor.new_empty(*tensor.shape[:2], num_columns, tensor.shape[3])
    found[:, :, : tensor.shape[2]] = tensor
    return found


def _tensors(layer: Any) -> list[Tensor]:
    return [layer._all_keys, layer._all_values] if isinstance(layer, RoomyLayer) else [layer.keys, layer.values]
