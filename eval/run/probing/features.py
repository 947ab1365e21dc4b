"""The features of frozen encoders for probes: of every layer, averaged over the item and over a few positions.

Shapes: N features of an item, P positions, L layers, D their widths joined.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from eval.items.item import BadItem, Item
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from omni.encoders.base import Encoder
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.samples.messages import Media

_BATCH = 16  # items that are encoded together
_LARGEST_HALF = 65504.0  # features are kept in half precision
_MOST_CACHED = 256 * 1024  # bytes of an item's features that the answer cache takes


@dataclass(frozen=True)
class ProbedEncoder:
    """An encoder as it is probed.

    Attributes:
        encoder: gives the features of all layers at once, joined by width.
        layers: the numbers of these layers; empty = the encoder has no choice.
        widths: the width of each.
    """

    encoder: Encoder
    layers: tuple[int, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, encoder: Encoder, every_layer: bool, most_layers: int) -> "ProbedEncoder":
        """Return an encoder with at most `most_layers` layers, evenly chosen, the last among them."""
        widths = encoder.layer_widths
        if not every_layer or len(widths) < 2:
            return cls(encoder, (), (encoder.dim,))
        last = len(widths) - 1
        count = min(most_layers, len(widths))
        steps = np.linspace(0, last, count) if count > 1 else np.array([last])
        layers = tuple(round(float(step)) for step in steps)
        return cls(encoder.with_layers(layers), layers, tuple(widths[layer] for layer in layers))


@dataclass(frozen=True)
class Probed:
    """The features of the items of a split, those that could be read.

    Attributes:
        items: the items.
        pooled: modality -> the mean over all features [items, D].
        positions: modality -> features of a few positions [items, P, D], and which are real [items, P].
        bad: the items that could not be read.
    """

    items: tuple[Item, ...]
    pooled: Mapping[str, Tensor]
    positions: Mapping[str, tuple[Tensor, Tensor]]
    bad: tuple[BadItem, ...]


def probe_features(
    encoders: Mapping[str, ProbedEncoder],
    items: Sequence[Item],
    num_positions: int,
    cache: AnswerCache,
    bar: "tqdm[Any]",
) -> Probed:
    """Return the features of items; of several media of one modality in an item, all features together.

    num_positions: neighbouring features are averaged to at most this many.
    """
    rows: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(items))}
    bad: dict[int, str] = {}
    for name, probed in encoders.items():
        for start in range(0, len(items), _BATCH):
            chosen = [index for index in range(start, min(start + _BATCH, len(items))) if index not in bad]
            found = _features(probed.encoder, name, [items[index] for index in chosen], num_positions, cache)
            for index, one in zip(chosen, found, strict=True):
                if isinstance(one, str):
                    bad[index] = one
                else:
                    rows[index][name] = one
            bar.update(len(chosen))
    kept = [index for index in rows if index not in bad]
    pooled, positions = {}, {}
    for name in encoders if kept else ():
        own = [rows[index][name] for index in kept]
        pooled[name] = torch.stack([one[0] for one in own]).float()
        most = max(len(one) - 1 for one in own)
        values = torch.stack([F.pad(one[1:], (0, 0, 0, most - len(one) + 1)) for one in own]).float()
        lengths = torch.tensor([len(one) - 1 for one in own])
        positions[name] = (values, torch.arange(most)[None] < lengths[:, None])
    return Probed(
        tuple(items[index] for index in kept),
        pooled,
        positions,
        tuple(BadItem(items[index].id, reason) for index, reason in bad.items()),
    )


def _features(
    encoder: Encoder, modality: str, items: Sequence[Item], num_positions: int, cache: AnswerCache
) -> list[Tensor | str]:
    """For each item the mean features and those of its positions [1 + P, D] float16, or why it cannot be read."""
    found: dict[int, Tensor | str] = {}
    keys: dict[int, str] = {}
    wanted: dict[int, list[Media]] = {}
    for index, item in enumerate(items):
        media = [part for part in item.media if part.modality == modality]
        try:
            hashes = [part.content_hash() for part in media]
        except ITEM_ERRORS as error:
            found[index] = f"{type(error).__name__}: {error}"
            continue
        keys[index] = cache.key("probe-features-v1", encoder.fingerprint(), num_positions, hashes)
        stored = cache.get(keys[index])
        if stored is None:
            wanted[index] = media
        else:
            found[index] = _unpacked(stored)
    new = _encoded(encoder, wanted)
    for index, one in new.items():
        found[index] = one if isinstance(one, str) else _summary(one, num_positions)
    packed = {keys[index]: _packed(one) for index in new if isinstance(one := found[index], Tensor)}
    cache.put({key: value for key, value in packed.items() if len(value[1]) <= _MOST_CACHED})
    return [found[index] for index in range(len(items))]


def _encoded(encoder: Encoder, wanted: Mapping[int, Sequence[Media]]) -> dict[int, Tensor | str]:
    """The real features [N, D] of each item; a batch that fails is encoded one by one."""
    flat = [(index, part) for index, media in wanted.items() for part in media]
    if not flat:
        return {}
    try:
        inputs = [MediaInput(part.modality, encoder.preprocess(part), None) for _, part in flat]
        with torch.no_grad():
            features = encode_items(encoder, inputs)
        parts: dict[int, list[Tensor]] = {index: [] for index in wanted}
        for (index, _), one in zip(flat, features, strict=True):
            parts[index].append(one.values[one.mask].float().cpu())
        joined = {index: torch.cat(own) for index, own in parts.items()}
    except ITEM_ERRORS as error:
        if len(wanted) == 1:
            return {next(iter(wanted)): f"{type(error).__name__}: {error}"}
        return {k: v for index, media in wanted.items() for k, v in _encoded(encoder, {index: media}).items()}
    return {
        index: one if len(one) and bool(one.isfinite().all()) else "its features are empty or not finite"
        for index, one in joined.items()
    }


def _summary(features: Tensor, num_positions: int) -> Tensor:
    """[N, D] -> [1 + P, D]: the mean, then the means of neighbouring features, at most `num_positions`."""
    positions = features
    if len(features) > num_positions:
        positions = F.adaptive_avg_pool1d(features.T[None], num_positions)[0].T
    joined = torch.cat([features.mean(0, keepdim=True), positions])
    return joined.clamp(-_LARGEST_HALF, _LARGEST_HALF).half()


def _packed(value: Tensor) -> list[Any]:
    return [list(value.shape), base64.b64encode(value.contiguous().numpy().tobytes()).decode()]


def _unpacked(stored: Sequence[Any]) -> Tensor:
    values = np.frombuffer(base64.b64decode(stored[1]), dtype=np.float16)
    return torch.from_numpy(values.copy()).reshape(stored[0])
