"""Attach the feature cache of a run, and drop the weights of encoders that it makes unnecessary.

Once every media item of the training data is cached, no encoder runs any more. Their weights are dropped then, and
read again if they are needed after all: for other media in an evaluation, or because entries were damaged or deleted.
"""

import gc
import logging
from collections.abc import Iterator, Sequence

import torch

from omni.augmentation import AugmentationDraw
from omni.feature_cache.encoding import entry_name
from omni.feature_cache.opening import open_cache
from omni.model.encoder_stack import EncoderStack
from omni.readers.sources import Source
from omni.recipe.schema import TrainConfig
from omni.samples.messages import Media, SampleError
from train.data.mixing import MixingPlan

logger = logging.getLogger(__name__)

_MOST_ROWS_LOOKED_UP = 500


def attach_feature_cache(model: EncoderStack, config: TrainConfig, warn: bool) -> None:
    """Give `model` the cache that the recipe asks for, if it asks for one.

    With `warn`, say where the cache freezes a random augmentation.
    """
    if not config.feature_cache:
        return
    model.feature_cache = open_cache(config)
    for name in model.modalities:
        model.encoder_fingerprints.of(model.modality(name).encoder)  # once, before workers are forked
    augmented = [name for name in model.modalities if model.modality(name).augmentation is not None]
    if augmented and warn:
        views = config.feature_cache_views
        count = "one random version" if views == 1 else f"{views} random versions"
        logger.warning(
            "the feature cache freezes the augmentation of %s: only %s of each item will be seen. Raise "
            "train.feature_cache_views for more, or set train.feature_cache to false for a new one in every epoch",
            " and ".join(augmented),
            count,
        )


class EncoderRelease:
    """Drop the weights of frozen encoders while the cache makes them unnecessary.

    Each process decides for itself; nothing that is computed depends on it.
    """

    def __init__(self, model: EncoderStack, plan: MixingPlan, config: TrainConfig, first_draw: int) -> None:
        """Watch the draws of `plan` from `first_draw`, the first one of this run."""
        self.model = model
        self.plan = plan
        self.config = config
        self.is_released = False
        self._first_draw = first_draw

    @property
    def frozen(self) -> list[str]:
        """The modalities whose encoders can be released: frozen, with the weights that their config builds."""
        changed = {name.split(".")[1] for name in self.model.unfrozen if ".encoder." in name}
        modalities = {name: self.model.modality(name) for name in self.model.modalities}
        return [
            name
            for name, one in modalities.items()
            if not one.encoder.trainable and one.config is not None and name not in changed
        ]

    def before_training(self, sources: Sequence[Source]) -> None:
        """Release the encoders if the cache was filled before."""
        if self._looks_complete(sources, range(self.config.feature_cache_views)):
            self._release()

    def after_step(self, num_draws: int) -> bool:
        """Release the encoders if the data were all drawn; called on all processes after `num_draws` draws of the plan.

        Returns True if the weights were dropped just now. Data-loading workers still have copies, so start new ones.
        """
        cache = self.model.feature_cache
        if cache is None:
            return False
        if self.is_released:
            # something was not there after all
            if not all(self.model.modality(name).encoder.is_released for name in self.frozen):
                self.is_released = False
                self._first_draw = num_draws
            return False
        if cache.keeps_all and self.frozen and self._all_were_drawn(num_draws):
            self._release()
            return True
        return False

    def before_evaluation(self, sources: Sequence[Source]) -> None:
        """Build the encoders if the evaluation needs them: once here, not in every data-loading worker."""
        if self.is_released and not self._looks_complete(sources, None):
            for name in self.frozen:
                self.model.modality(name).encoder.build_again()

    def after_evaluation(self) -> None:
        """Release again what the evaluation needed."""
        if self.is_released:
            self._release()

    def _release(self) -> None:
        for name in self.frozen:
            self.model.modality(name).release_encoder(name)
        self.is_released = True
        gc.collect()  # modules refer to themselves in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _all_were_drawn(self, num_draws: int) -> bool:
        """Return whether every row, in every view, was drawn since the first draw; in doubt, False."""
        length = self.plan.epoch_length
        num_epochs = num_draws // length - -(-self._first_draw // length)  # whole ones
        # A data set that is drawn in parts goes through its rows in turn: one pass more if it did not begin with 0.
        passes = self.config.feature_cache_views + (self._first_draw > 0)
        counts = zip(self.plan.counts, self.plan.sizes, strict=True)
        return all(int(count) * num_epochs >= size * passes for count, size in counts)

    def _looks_complete(self, sources: Sequence[Source], views: Sequence[int] | None) -> bool:
        """Return whether some hundred rows, evenly spread over the data, have media, and all of them are cached."""
        cache, model, frozen = self.model.feature_cache, self.model, self.frozen
        if cache is None or not frozen or any(source.dataset.stream is not None for source in sources):
            return False  # looking into shards here and there would mean reading all of them
        has_some = False
        for media in _some_media(sources):
            if media.modality not in frozen:
                continue
            modality = model.modality(media.modality)
            fingerprint = model.encoder_fingerprints.of(modality.encoder)
            try:
                content_hash = media.content_hash()
            except OSError:
                continue  # a bad sample, whatever the cache holds
            has_some = True
            for view in views if views is not None and modality.augmentation is not None else [None]:
                draw = None
                if view is not None:
                    draw = AugmentationDraw(self.config.seed, view, self.config.feature_cache_views)
                if not cache.contains(entry_name(content_hash, modality.augmentation, draw), fingerprint):
                    return False
        return has_some


def _some_media(sources: Sequence[Source]) -> Iterator[Media]:
    most = max(1, _MOST_ROWS_LOOKED_UP // max(1, len(sources)))
    for source in sources:
        step = max(1, source.size // most)
        for row in source.rows[::step]:
            sample = source.dataset[row]
            if isinstance(sample, SampleError):
                continue
            for message in sample.messages:
                yield from (part for part in message.content if isinstance(part, Media))
