"""`python -m eval.speed cache`: from media items to features, by the encoder each time and from the feature cache.

The hashes of the files are known when the cache is timed, as in a run from the second epoch on. The features must be
the same bits before anything is timed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from omni.config import ModalityConfig
from omni.config.components import ComponentConfig
from omni.encoders.base import Encoder, Features
from omni.encoders.building import build_encoder
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.feature_cache import FeatureCache
from omni.feature_cache.encoding import PinnedFingerprints, encode_with_cache, prepare_with_cache
from omni.readers import open_dataset
from omni.samples.messages import Media, SampleError

BATCH_SIZE = 16  # items that are encoded at once


@dataclass(frozen=True)
class CacheSpeed:
    """Items per second, medians over rounds, and how much faster the cache is: the median of the rounds' ratios."""

    num_items: int
    live: float
    cached: float
    speedup: float


def measure_cache(encoder: Encoder, media: Sequence[Media], rounds: int) -> CacheSpeed:
    """Time both ways over all of `media`, round by round in turn. The cache is filled before, in a temporary folder.

    Raises:
        MediaError: one cannot be read.
        ValueError: the two do not give the same features, so their times cannot be compared.
    """
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        cache, fingerprint = FeatureCache(folder), PinnedFingerprints().of(encoder)

        def live() -> list[Features]:
            return _encode(encoder, [MediaInput(one.modality, encoder.preprocess(one), None) for one in media])

        def cached() -> list[Features]:
            prepared = [prepare_with_cache(cache, fingerprint, encoder, one) for one in media]
            return encode_with_cache(cache, fingerprint, lambda items: _encode(encoder, items), prepared)

        cached()  # fills it
        pairs = zip(live(), cached(), strict=True)
        if not all(torch.equal(a.values, b.values) and torch.equal(a.mask, b.mask) for a, b in pairs):
            raise ValueError("the cache gives other features than the encoder, so the times cannot be compared")
        seconds = [(_time(live), _time(cached)) for _ in range(rounds)]
        cache.close()
    medians = [statistics.median(times) for times in zip(*seconds, strict=True)]
    ratio = statistics.median(before / after for before, after in seconds)
    return CacheSpeed(len(media), len(media) / medians[0], len(media) / medians[1], ratio)


def _encode(encoder: Encoder, items: Sequence[MediaInput]) -> list[Features]:
    starts = range(0, len(items), BATCH_SIZE)
    return [one for start in starts for one in encode_items(encoder, items[start : start + BATCH_SIZE])]


def _time(work: Callable[[], list[Features]]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def starter_pictures(count: int) -> list[Media]:
    """Return the first pictures of the starter stamps."""
    media: list[Media] = []
    for sample in open_dataset("starter:stamps/image-train.jsonl"):
        if not isinstance(sample, SampleError):
            media += [part for message in sample.messages for part in message.content if isinstance(part, Media)]
        if len(media) >= count:
            break
    return media[:count]


def run(options: argparse.Namespace) -> None:
    """Measure the starter encoder of pictures on the starter pictures, and print the table."""
    for name in ("pictures", "rounds"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}, but must be at least 1")
    weights = ComponentConfig("omni.encoders.EfficientNetLite", {"weights": "starter:efficientnet-lite0"})
    config = ModalityConfig(weights, ComponentConfig("adapters.Linear"))
    found = measure_cache(build_encoder(config, "image"), starter_pictures(options.pictures), options.rounds)
    threads = torch.get_num_threads()
    print(f"{found.num_items} pictures, float32, {threads} thread(s), medians of {options.rounds} rounds in turn.\n")
    print("| | pictures/s |\n|---|---|")
    print(f"| encoder | {found.live:.1f} |\n| feature cache | {found.cached:.1f} |")
    print(f"\nThe cache is {found.speedup:.0f} times as fast.")
