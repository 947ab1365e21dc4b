"""Encode media items together, in chunks that bound an encoder's memory.

Shapes: B clips of all items, C clips of one item, N features of a clip, F width of the features.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from omni.encoders.base import Encoder, Features
from omni.encoders.media_input import MediaInput

MAX_CLIPS = 64  # clips in one call of an encoder, which bounds its memory however long a sound or video is


def encode_items(encoder: Encoder, items: Sequence[MediaInput]) -> list[Features]:
    """Return the features of each item of one encoder, [C, N, F] and [C, N]; those that are there already are taken."""
    found: dict[int, Features] = {i: item.features for i, item in enumerate(items) if item.features is not None}
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if index not in found:
            assert item.inputs is not None
            groups[tuple((name, tensor.shape[1:]) for name, tensor in item.inputs.items())].append(index)
    for group in groups.values():
        found |= dict(zip(group, _encode_alike(encoder, [items[i].inputs or {} for i in group]), strict=True))
    return [found[index] for index in range(len(items))]


def encode_in_chunks(encoder: Encoder, inputs: Mapping[str, Tensor]) -> Features:
    """Encode clips, tensors [B, ...], at most `MAX_CLIPS` in one call -> [B, N, F] and [B, N]."""
    num_clips = len(next(iter(inputs.values())))
    chunks = [
        encoder({name: tensor[start : start + MAX_CLIPS] for name, tensor in inputs.items()})
        for start in range(0, num_clips, MAX_CLIPS)
    ]
    return Features(torch.cat([chunk.values for chunk in chunks]), torch.cat([chunk.mask for chunk in chunks]))


def _encode_alike(encoder: Encoder, inputs: Sequence[dict[str, Tensor]]) -> list[Features]:
    """Encode items whose tensors differ in the number of clips only, all clips together."""
    clips = [len(next(iter(one.values()))) for one in inputs]
    values, mask = encode_in_chunks(encoder, {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]})
    return [Features(*pair) for pair in zip(values.split(clips), mask.split(clips), strict=True)]
