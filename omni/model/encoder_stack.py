"""The base of every model: modalities with encoders, and the way of media from an item to its features.

`omni.model.core.ModelCore` adds a language model to it, `JointSpace` a shared space of embeddings.
"""

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from omni.augmentation import AugmentationDraw
from omni.config.trust import remember
from omni.encoders.base import Features
from omni.encoders.media_input import MediaInput
from omni.feature_cache import FeatureCache
from omni.feature_cache.encoding import PinnedFingerprints, encode_with_cache, prepare_with_cache
from omni.llm.language_model import LanguageModel
from omni.media.errors import MediaError
from omni.model.batch import Example
from omni.model.card import ModelCard
from omni.model.modality import EncodedModality
from omni.model.recent_features import RecentFeatures
from omni.model.routing_log import RoutingLog
from omni.runtime.fast_linear import speed_up_linears
from omni.runtime.stopwatch import Stopwatch
from omni.samples.messages import Media

# Parts that `EncoderStack.timed` tells apart: reading and preprocessing, encoders, and the language model.
MEDIA, ENCODER, LLM = "media", "encoder", "llm"


class EncoderStack(nn.Module):
    """Modalities, the cache of their features, and what is known of their training.

    Args:
        modalities: name -> encoder with what is trained behind it.
        card: what is known of its training, for the model card.
    """

    def __init__(self, modalities: Mapping[str, EncodedModality], card: ModelCard | None = None) -> None:
        super().__init__()
        self.modalities = nn.ModuleDict(modalities)
        speed_up_linears(self.modalities)
        self.card = card or ModelCard()
        self.feature_cache: FeatureCache | None = None
        self.recent_features: RecentFeatures | None = None  # in memory, where there is no cache
        self.stopwatch: Stopwatch | None = None  # of where the time goes
        self.encoder_fingerprints = PinnedFingerprints()
        # frozen weights that were trained all the same, by plain name: they are saved with the model
        self.unfrozen: set[str] = set()
        self._augmentation_draw: AugmentationDraw | None = None
        self.routing_log: RoutingLog | None = None  # where it is kept which experts media go to

    def modality(self, name: str) -> EncodedModality:
        """Return the modality `name`; the ValueError for an unknown one lists those that there are."""
        if name not in self.modalities:
            raise ValueError(f"the model has no modality {name!r}; it has {sorted(self.modalities)}")
        return cast(EncodedModality, self.modalities[name])

    def remember_classes(self, folder: Path) -> None:
        """Record the classes of the user's own that it is made of, so that it may be loaded again from `folder`."""
        configs = [self.modality(name).config for name in self.modalities]
        parts = [part for config in configs if config is not None for part in config.components]
        remember([(part.class_path, part.init_args) for part in parts], folder)

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        raise NotImplementedError

    @property
    def language_model(self) -> LanguageModel | None:
        """The LLM that reads what is encoded; None in a model without one, such as a joint space."""
        return None

    def write(self, directory: Path) -> None:
        """Write the files of the model into an existing folder."""
        raise NotImplementedError

    @contextlib.contextmanager
    def augmented(self, draw: AugmentationDraw | None) -> Iterator[None]:
        """Change media by their modality's augmentation inside, as training does; None = do not."""
        before, self._augmentation_draw = self._augmentation_draw, draw
        try:
            yield
        finally:
            self._augmentation_draw = before

    def timed(self, part: str, *, on_cpu: bool = False) -> contextlib.AbstractContextManager[None]:
        """Inside, the time counts as that of `part`, if somebody wants to know it; see `Stopwatch.part`."""
        return contextlib.nullcontext() if self.stopwatch is None else self.stopwatch.part(part, on_cpu=on_cpu)

    def prepare_media(self, media: Media, sample_id: str, index: int) -> MediaInput:
        """Preprocess a media item, the `index`-th of its sample, or take its features from the cache.

        Raises:
            MediaError: it cannot be read.
        """
        with self.timed(MEDIA, on_cpu=True):
            return self._prepare_media(media, sample_id, index)

    def _prepare_media(self, media: Media, sample_id: str, index: int) -> MediaInput:
        modality = self.modality(media.modality)
        encoder, augmentation, draw = modality.encoder, modality.augmentation, self._augmentation_draw
        if self.feature_cache is not None and not encoder.is_trained:
            fingerprint = self.encoder_fingerprints.of(encoder)
            return prepare_with_cache(self.feature_cache, fingerprint, encoder, media, augmentation, draw)
        is_augmented = augmentation is not None and draw is not None
        if augmentation is not None and draw is not None:
            media = augmentation.of_sample(media, draw, sample_id, index)
        try:
            if self.recent_features is not None and not is_augmented:
                return self.recent_features.prepare(media, encoder)
            return MediaInput(media.modality, encoder.preprocess(media), None)
        except MediaError:
            raise
        except ValueError as error:  # raised by users' own encoders: it is the item that cannot be used
            raise MediaError(media.describe(), str(error)) from error

    def encode_media(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples with all media encoded; the features are put into the cache if there is one."""
        media = [[*example.media] for example in examples]
        for name, places in media_places(examples).items():
            items = [examples[i].media[j] for i, j in places]
            found = self.encode_items(name, items)
            for (i, j), item, features in zip(places, items, found, strict=True):
                media[i][j] = replace(item, inputs=None, features=features)
        return [replace(example, media=found) for example, found in zip(examples, media, strict=True)]

    def encode_items(self, name: str, items: Sequence[MediaInput]) -> list[Features]:
        """Return the features of items of one modality, [C, N, F] and [C, N] each, kept in the cache if any."""
        with self.timed(ENCODER):
            return self._encode_items(name, items)

    def _encode_items(self, name: str, items: Sequence[MediaInput]) -> list[Features]:
        modality = self.modality(name)
        if self.feature_cache is None or modality.encoder.is_trained:
            recent = self.recent_features
            return modality.encode(items) if recent is None else recent.encode(items, modality.encode)
        fingerprint = self.encoder_fingerprints.of(modality.encoder)
        encoder_name = f"{modality.encoder.class_name} of {name}"
        return encode_with_cache(self.feature_cache, fingerprint, modality.encode, items, encoder_name)

    def prepare_to_unfreeze(self, names: Collection[str]) -> None:
        """Take down what has to be known of frozen weights before they change; called with the plain names of those
        that will be trained from now on. By default there is nothing."""

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """Return everything that is trained: name -> parameter."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """Return everything that is trained: name -> detached copy on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.trainable_parameters().items()}


def media_places(examples: Sequence[Example]) -> dict[str, list[tuple[int, int]]]:
    """Return where the media of each modality are: (index of the example, index among its media)."""
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for i, example in enumerate(examples):
        for j, item in enumerate(example.media):
            places[item.modality].append((i, j))
    return places
