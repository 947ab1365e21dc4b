"""Filling a cache before training: every media item of a recipe's data sets is encoded, by all processes together."""

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from omni.augmentation import AugmentationDraw, RandomVersions
from omni.commands.cache_plan import CacheRecipe
from omni.encoders.base import Encoder
from omni.encoders.building import build_encoder
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.feature_cache.cache import FeatureCache
from omni.feature_cache.encoding import PinnedFingerprints, encode_with_cache, prepare_with_cache
from omni.readers import SampleDataset
from omni.runtime.parameter_names import matches
from omni.runtime.rendezvous import meet_other_processes
from omni.samples.messages import Media, SampleError

_NEIGHBOURS = 16  # rows that stay together: media that several rows share tend to be in neighbouring rows


@dataclass
class BuildReport:
    """What a build did."""

    num_encoded: int = 0
    num_there: int = 0  # were cached already
    damaged: list[str] = field(default_factory=list)  # "SAMPLE ID (DATA SET): REASON"

    @property
    def num_found(self) -> int:
        """Media items that are in the cache now."""
        return self.num_encoded + self.num_there


@dataclass
class _CachedEncoder:
    encoder: Encoder
    fingerprint: str
    augmentation: RandomVersions | None


@dataclass
class _Row:
    """The media of a sample: those to be encoded, how many are there, and what is wrong with others."""

    items: list[MediaInput] = field(default_factory=list)
    num_there: int = 0
    damaged: list[str] = field(default_factory=list)


class _Rows(Dataset[_Row]):
    """Reads and preprocesses rows (data set, row) in workers."""

    def __init__(self, recipe: CacheRecipe, cache: FeatureCache, encoders: dict[str, _CachedEncoder]) -> None:
        self.recipe = recipe
        self.cache = cache
        self.encoders = encoders
        self.datasets: list[SampleDataset] = [source.open() for source in recipe.sources]

    def places(self) -> list[tuple[int, int]]:
        """All rows of all data sets."""
        limits = [len(dataset) if s.limit is None else s.limit for dataset, s in self._pairs()]
        return [
            (number, row)
            for number, (dataset, limit) in enumerate(zip(self.datasets, limits, strict=True))
            for row in range(min(len(dataset), limit))
        ]

    def __getitem__(self, place: tuple[int, int]) -> _Row:
        number, row = place
        source = self.recipe.sources[number]
        found, sample_id = _Row(), f"row {row}"
        try:
            sample = self.datasets[number][row]
            if isinstance(sample, SampleError):
                raise sample
            sample_id = sample.id
            for message in sample.messages:
                for part in message.content:
                    if isinstance(part, Media) and part.modality in self.encoders:
                        self._prepare(part, source.is_trained_on, found)
        except SampleError as error:
            found.damaged.append(f"{error.sample_id} ({source.path}): {error.reason}")
        except Exception as error:  # whatever one sample does must not end a build
            found.damaged.append(f"{sample_id} ({source.path}): {str(error) or type(error).__name__}")
        return found

    def _prepare(self, media: Media, is_trained_on: bool, found: _Row) -> None:
        one = self.encoders[media.modality]
        is_augmented = one.augmentation is not None and is_trained_on
        for view in range(self.recipe.num_views if is_augmented else 1):
            draw = AugmentationDraw(self.recipe.seed, view, self.recipe.num_views) if is_augmented else None
            item = prepare_with_cache(self.cache, one.fingerprint, one.encoder, media, one.augmentation, draw)
            if item.features is None:
                found.items.append(item)
            else:
                found.num_there += 1

    def _pairs(self) -> Iterator[tuple[SampleDataset, Any]]:
        return zip(self.datasets, self.recipe.sources, strict=True)


def build_cache(recipe: CacheRecipe, *, batch_size: int, num_workers: int) -> tuple[BuildReport, bool]:
    """Encode what is not cached yet, on all processes of `accelerate launch`, each a part of the rows.

    Returns what all processes did together, and whether this is the process that should say so. An interrupted build
    goes on where it was: what is cached is not encoded again.

    Raises:
        FileNotFoundError, ValueError: a data set or the weights of an encoder cannot be read.
    """
    state = _processes()
    cache = FeatureCache(recipe.directory, recipe.dtype, max_bytes=recipe.max_bytes)
    pinned = PinnedFingerprints()
    encoders: dict[str, _CachedEncoder] = {}
    for name, config in recipe.modalities.items():
        encoder = build_encoder(config, name).to(state.device)
        if encoder.trainable or _is_unfrozen(encoder, name, recipe.unfrozen):
            if state.is_main_process:
                print(f"the encoder of {name} is trained: its features are not cached")
        else:
            key = f"model.modalities.{name}.augmentation"
            versions = None if config.augmentation is None else RandomVersions(config.augmentation, key)
            encoders[name] = _CachedEncoder(encoder, pinned.of(encoder), versions)
    rows = _Rows(recipe, cache, encoders)
    places = rows.places()
    mine = [p for i, p in enumerate(places) if i // _NEIGHBOURS % state.num_processes == state.process_index]
    report = BuildReport()
    waiting: dict[str, list[MediaInput]] = defaultdict(list)
    for row in tqdm(_load(rows, mine, num_workers), "rows", total=len(mine), disable=not state.is_main_process):
        report.num_there += row.num_there
        report.damaged += row.damaged
        for item in row.items:
            waiting[item.modality].append(item)
            if len(waiting[item.modality]) == batch_size:
                _encode(cache, encoders[item.modality], waiting.pop(item.modality), report)
    for name, items in waiting.items():
        _encode(cache, encoders[name], items, report)
    cache.close()
    reports = [report] if state.num_processes == 1 else gather_object([report])
    total = BuildReport(
        sum(one.num_encoded for one in reports),
        sum(one.num_there for one in reports),
        [line for one in reports for line in one.damaged],
    )
    return total, state.is_main_process


def _processes() -> PartialState:
    meet_other_processes()
    if torch.accelerator.is_available():
        return PartialState()
    # On CPU nothing chooses a backend by itself; and on one process accelerate fails if one is chosen.
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=True, backend="gloo") if several else PartialState(cpu=True)


def _is_unfrozen(encoder: Encoder, modality: str, patterns: Sequence[str]) -> bool:
    names = [f"modalities.{modality}.encoder.{name}" for name, _ in encoder.named_parameters(remove_duplicate=False)]
    return any(matches(name, pattern) for name in names for pattern in patterns)


def _load(rows: _Rows, places: Sequence[tuple[int, int]], num_workers: int) -> DataLoader[_Row]:
    return DataLoader(
        rows,
        sampler=places,  # type: ignore[arg-type]  # torch accepts any iterable of keys
        batch_size=None,
        num_workers=num_workers,
        multiprocessing_context=multiprocessing.get_context("fork") if num_workers else None,
    )


@torch.no_grad()
def _encode(cache: FeatureCache, one: _CachedEncoder, items: list[MediaInput], report: BuildReport) -> None:
    distinct = list({item.content_hash: item for item in items}.values())
    encode_with_cache(cache, one.fingerprint, lambda found: encode_items(one.encoder, found), distinct)
    report.num_encoded += len(distinct)
    report.num_there += len(items) - len(distinct)
