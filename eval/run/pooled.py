"""Features of the frozen encoders, averaged over a media item: for linear probes, and to find near examples."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from eval.items.item import Item
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from eval.run.space import Respondent
from omni.encoders.base import Encoder
from omni.feature_cache import FeatureCache
from omni.feature_cache.location import default_directory
from omni.samples.messages import Media


def likeness_of(
    model: Respondent, modalities: Sequence[str], items: Sequence[Item], examples: Sequence[Item], cache: AnswerCache
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


@lru_cache(maxsize=1)
def _shared_cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder)


def pooled_features(encoder: Encoder, media: Media) -> torch.Tensor:
    """Return the mean over all real features of one media item, `[D]`.

    Features that training has kept in the shared feature cache are read from there.
    """
    if not encoder.is_trained:
        kept = _shared_cache(default_directory()).get(media.content_hash(), encoder.fingerprint())
        if kept is not None:
            return kept.values[kept.mask].float().mean(dim=0)
    parameter = next(encoder.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    inputs = {name: tensor.to(device) for name, tensor in encoder.preprocess(media).items()}
    with torch.no_grad():
        values, mask = encoder(inputs)
    return values[mask].float().mean(dim=0).cpu()
