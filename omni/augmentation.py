"""Change media items at random in training: every epoch has another picture or sound of the same thing.

A modality's `augmentation` is a class whose objects are called with a media item and a random generator, and return a
media item. It is applied before the encoder's preprocessing, in training only.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from omni.config.components import ComponentConfig, build
from omni.media.image import load_image
from omni.media.item import Media
from omni.media.sound import load_sound


@runtime_checkable
class Augmentation(Protocol):
    """A random change of a media item; the same item and generator always give the same result."""

    def __call__(self, media: Media, generator: np.random.Generator) -> Media:
        """Return a changed copy of `media`. Raises MediaError if it cannot be read."""
        ...


@dataclass(frozen=True)
class AugmentationDraw:
    """Say which of the random versions of media items is wanted.

    Without a feature cache, each sample has a new version in every epoch. With one, an item has `num_views` versions
    that all samples share, and epoch e uses version e modulo `num_views`.
    """

    seed: int
    epoch: int
    num_views: int = 1

    @property
    def view(self) -> int:
        """The number of the cached version, from 0."""
        return self.epoch % self.num_views


class RandomVersions:
    """The augmentation of a modality as a recipe names it, which makes the versions of items."""

    def __init__(self, config: ComponentConfig, key: str = "augmentation") -> None:
        self.augmentation: Augmentation = build(config, key, Augmentation)
        self._description = json.dumps(asdict(config), sort_keys=True, default=str)

    def of_sample(self, media: Media, draw: AugmentationDraw, sample_id: str, index: int) -> Media:
        """Return the version of media item number `index` of a sample in an epoch."""
        return self.augmentation(media, _generator("sample", draw.seed, draw.epoch, sample_id, index))

    def of_view(self, media: Media, draw: AugmentationDraw, content_hash: str) -> Media:
        """Return the version of an item of this content that all samples share in a view."""
        return self.augmentation(media, _generator("view", draw.seed, draw.view, content_hash))

    def view_key(self, draw: AugmentationDraw, content_hash: str) -> str:
        """Return the name of the version that `of_view` makes in a feature cache."""
        return hashlib.sha256(f"{content_hash} {self._description} {draw.seed} {draw.view}".encode()).hexdigest()


class RandomResizedCrop:
    """Take a random part of a picture, perhaps mirrored (as Szegedy et al. 2015 trained Inception).

    scale: smallest and largest share of the area.
    ratio: smallest and largest change of the aspect ratio.
    flip: probability that the picture is mirrored.
    The part is scaled to the size of the whole.
    """

    def __init__(
        self, scale: Sequence[float] = (0.5, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3), flip: float = 0.5
    ) -> None:
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"scale is {list(scale)}, but must be two shares in (0, 1], the smaller one first")
        if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio is {list(ratio)}, but must be two numbers above 0, the smaller one first")
        if not 0 <= flip <= 1:
            raise ValueError(f"flip is {flip}, but must be a probability from 0 to 1")
        self.scale = (float(scale[0]), float(scale[1]))
        self.ratio = (float(ratio[0]), float(ratio[1]))
        self.flip = flip

    def __call__(self, media: Media, generator: np.random.Generator) -> Media:
        """Return a random part of a picture, as large as the picture."""
        picture = load_image(media)
        # All random numbers are always drawn, so that changing one setting does not change the effect of another.
        share = generator.uniform(*self.scale)
        change = math.exp(generator.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
        place_x, place_y, mirror = generator.uniform(size=3)
        width = min(picture.width, max(1, round(picture.width * math.sqrt(share * change))))
        height = min(picture.height, max(1, round(picture.height * math.sqrt(share / change))))
        left, top = place_x * (picture.width - width), place_y * (picture.height - height)
        box = (left, top, left + width, top + height)
        part = picture.resize(picture.size, Image.Resampling.BICUBIC, box=box)
        if mirror < self.flip:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return Media(media.modality, data=part)


class RandomGainAndShift:
    """Make a sound louder or softer, and let it begin a little earlier or later; its length stays.

    gain_db: largest change of the level in decibels, up or down.
    shift: largest shift in seconds, either way; silence fills the gap.
    """

    def __init__(self, gain_db: float = 6.0, shift: float = 0.25) -> None:
        if gain_db < 0 or not math.isfinite(gain_db):
            raise ValueError(f"gain_db is {gain_db}, but must be at least 0 decibels")
        if shift < 0 or not math.isfinite(shift):
            raise ValueError(f"shift is {shift}, but must be at least 0 seconds")
        self.gain_db = gain_db
        self.shift = shift

    def __call__(self, media: Media, generator: np.random.Generator) -> Media:
        """Return the changed sound, mono float32 at its own sampling rate."""
        sound = load_sound(media, sampling_rate=None)
        gain = 10 ** (generator.uniform(-self.gain_db, self.gain_db) / 20)
        offset = round(generator.uniform(-self.shift, self.shift) * sound.sampling_rate)
        length = len(sound.samples)
        offset = max(-length + 1, min(length - 1, offset))  # a part of the sound always stays
        shifted = np.zeros_like(sound.samples)
        if offset >= 0:
            shifted[offset:] = sound.samples[: length - offset]
        else:
            shifted[:offset] = sound.samples[-offset:]
        samples = np.clip(shifted * np.float32(gain), -1.0, 1.0)
        # The options of the item are not passed on, because the window that they choose is cut out already.
        return Media(media.modality, data=samples.astype(np.float32), sampling_rate=sound.sampling_rate)


def _generator(*parts: object) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
