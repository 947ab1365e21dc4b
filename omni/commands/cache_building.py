"""Fill a cache before training: every media item that a recipe will ask for is encoded, by all processes together."""

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from omni.augmentation import AugmentationDraw, RandomVersions
from omni.commands.cache_plan import CacheStage
from omni.config import JointSpaceConfig
from omni.encoders.base import Encoder
from omni.encoders.building import build_encoder
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.feature_cache.cache import FeatureCache
from omni.feature_cache.encoding import PinnedFingerprints, encode_with_cache, prepare_with_cache
from omni.feature_cache.opening import open_cache
from omni.media.item import Media
from omni.runtime.parameter_names import matches
from omni.runtime.rendezvous import meet_other_processes
from omni.samples.messages import Sample, SampleError

_NEIGHBOURS = 16  # rows that stay together: media that several rows share tend to be in neighbouring rows

ItemsOf = Callable[[Sample], Sequence[Media]]


@dataclass
class BuildReport:
    """Counts of what a build did, and the items that it could not use."""

    num_encoded: int = 0
    num_there: int = 0  # were cached already
    damaged: list[str] = field(default_factory=list)  # "SAMPLE ID (DATA SET): REASON"
    write_error: str = ""  # why features could not be kept

    @property
    def num_found(self) -> int:
        """Number of media items that are in the cache now."""
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

    def __init__(
        self, stage: CacheStage, cache: FeatureCache, encoders: Mapping[str, _CachedEncoder], items_of: ItemsOf
    ) -> None:
        self.train = stage.train
        self.cache = cache
        self.encoders = encoders
        self.items_of = items_of
        self.sources = stage.open_sources()

    def places(self) -> list[tuple[int, int]]:
        """Return the places of all rows: number of the data set, row in it."""
        return [(number, row) for number, (source, _) in enumerate(self.sources) for row in source.rows]

    def __getitem__(self, place: tuple[int, int]) -> _Row:
        number, row = place
        source, is_augmented = self.sources[number]
        found, sample_id = _Row(), f"row {row}"
        try:
            sample = source.dataset[row]
            if isinstance(sample, SampleError):
                raise sample
            sample_id = sample.id
            for media in self.items_of(sample):
                if media.modality in self.encoders:
                    self._prepare(media, is_augmented, found)
        except SampleError as error:
            found.damaged.append(f"{error.sample_id} ({source.name}): {error.reason}")
        except Exception as error:  # whatever one sample does must not end a build
            found.damaged.append(f"{sample_id} ({source.name}): {str(error) or type(error).__name__}")
        return found

    def _prepare(self, media: Media, is_augmented: bool, found: _Row) -> None:
        one = self.encoders[media.modality]
        views = self.train.feature_cache_views
        draws: list[AugmentationDraw | None] = [None]
        if one.augmentation is not None and is_augmented:
            draws = [AugmentationDraw(self.train.seed, view, views) for view in range(views)]
        for draw in draws:
            item = prepare_with_cache(self.cache, one.fingerprint, one.encoder, media, one.augmentation, draw)
            if item.features is None:
                found.items.append(item)
            else:
                found.num_there += 1


def build_cache(stage: CacheStage, *, batch_size: int, num_workers: int) -> tuple[BuildReport, bool]:
    """Encode what is not cached yet, on all processes of `accelerate launch`, each a part of the rows.

    Returns the report of all processes together, and whether this is the process that should print it. An interrupted
    build goes on where it was: items that are cached are not encoded again.

    Raises:
        FileNotFoundError, ValueError: a data set or the weights of an encoder cannot be read.
        OSError: the cache cannot be written to.
    """
    state = _processes()
    cache = open_cache(stage.train)
    with stage.may_build():
        networks, items_of = _build_networks(stage, torch.device(state.device or "cpu"))
        encoders = _cached_encoders(stage, networks, speaks=state.is_main_process)
    rows = _Rows(stage, cache, encoders, items_of)
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
    report.write_error = cache.write_error
    reports = [report] if state.num_processes == 1 else gather_object([report])
    if errors := [one.write_error for one in reports if one.write_error]:
        raise OSError(f"not all features could be kept: {errors[0]}")
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


def _build_networks(stage: CacheStage, device: torch.device) -> tuple[dict[str, Encoder], ItemsOf]:
    """Build the encoders of a stage; also return how its model takes the items of a sample."""
    if stage.space is None:
        encoders = {name: build_encoder(config, name).to(device) for name, config in stage.modalities.items()}
        return encoders, _media_of
    return _build_space_networks(stage.space, device)


def _build_space_networks(config: JointSpaceConfig, device: torch.device) -> tuple[dict[str, Encoder], ItemsOf]:
    from omni.joint_space import build_space  # imports transformers, which takes seconds
    from omni.joint_space.rows import items_of

    space = build_space(config, device)
    return {name: space.modality(name).encoder for name in space.modalities}, partial(items_of, space)


def _media_of(sample: Sample) -> list[Media]:
    return [part for message in sample.messages for part in message.content if isinstance(part, Media)]


def _cached_encoders(stage: CacheStage, networks: Mapping[str, Encoder], speaks: bool) -> dict[str, _CachedEncoder]:
    """Return the encoders whose features can be kept: those that the stage does not train."""
    pinned = PinnedFingerprints()
    found: dict[str, _CachedEncoder] = {}
    for name, encoder in networks.items():
        if encoder.trainable or _is_unfrozen(encoder, name, stage.unfrozen):
            if speaks:
                print(f"the encoder of {name} is trained: its features are not cached")
            continue
        config = stage.modalities[name].augmentation
        key = f"model.modalities.{name}.augmentation"
        versions = None if config is None else RandomVersions(config, key)
        found[name] = _CachedEncoder(encoder, pinned.of(encoder), versions)
    return found


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
    name = f"{one.encoder.class_name} of {items[0].modality}"
    encode_with_cache(cache, one.fingerprint, lambda found: encode_items(one.encoder, found), distinct, name)
    report.num_encoded += len(distinct)
    report.num_there += len(items) - len(distinct)
