"""Features of the frozen encoders, averaged over a media item: for linear probes, and to find near examples."""

from collections.abc import Sequence

import numpy as np
import torch

from eval.items.item import Item
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from omni.encoders.base import Encoder
from omni.model import OmniModel
from omni.samples.messages import Media


def likeness_of(
    model: OmniModel, modalities: Sequence[str], items: Sequence[Item], examples: Sequence[Item], cache: AnswerCache
) -> np.ndarray:
    """Return the cosine of each example's features with each item's, summed over modalities: [items, examples].

    It is not a number where a medium cannot be read.
    """
    total = np.zeros((len(items), len(examples)))
    for name in modalities:
        encoder = model.modality(name).encoder
        own, theirs = (
            np.stack(
                [_direction(encoder, [part for part in one.media if part.modality == name], cache) for one in rows]
            )
            for rows in (items, examples)
        )
        total += own @ theirs.T
    return total


def _media_of(item: Item, modality: str) -> list[Media]:
    return [part for part in item.media if part.modality == modality]


def _direction(encoder: Encoder, media: Sequence[Media], cache: AnswerCache) -> np.ndarray:
    """The mean features of an item's media at unit length; not a number where one cannot be read."""
    try:
        mean = np.mean([cached_features(encoder, one, cache) for one in media], axis=0)
    except ITEM_ERRORS:
        return np.full(encoder.dim, np.nan)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def cached_features(encoder: Encoder, media: Media, cache: AnswerCache) -> list[float]:
    """Return `pooled_features` of a media item, from the cache where it has them."""
    key = cache.key("pooled-features-v1", encoder.fingerprint(), media.content_hash())
    stored = cache.get(key)
    if stored is None:
        stored = [round(value, 7) for value in pooled_features(encoder, media).tolist()]
        cache.put({key: stored})
    return stored


def pooled_features(encoder: Encoder, media: Media) -> torch.Tensor:
    """Return the mean over all real features of one media item, `[D]`."""
    parameter = next(encoder.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    inputs = {name: tensor.to(device) for name, tensor in encoder.preprocess(media).items()}
    with torch.no_grad():
        values, mask = encoder(inputs)
    return values[mask].float().mean(dim=0).cpu()
