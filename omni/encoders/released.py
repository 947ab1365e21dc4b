"""Stand in for an encoder whose weights are not in memory, because all its features are cached."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omni.encoders.base import Encoder, Features
from omni.media.item import Media
from omni.media.parts.contract import MediaParts


@dataclass(frozen=True)
class EncoderDescription:
    """The facts that a model knows about an encoder without its weights."""

    class_name: str
    modality: str
    dim: int
    max_features: int
    fingerprint: str
    file_extensions: tuple[str, ...] = ()
    licence: str | None = None

    @classmethod
    def of(cls, encoder: Encoder) -> "EncoderDescription":
        """Describe a frozen encoder."""
        assert not encoder.trainable
        sizes = (encoder.dim, encoder.max_features)
        return cls(
            encoder.class_name,
            encoder.modality,
            *sizes,
            encoder.fingerprint(),
            tuple(encoder.file_extensions),
            encoder.licence,
        )


class ReleasedEncoder(Encoder):
    """Stand in for a frozen encoder, and build it when something is to be preprocessed or encoded.

    description: facts about the encoder. make: function that builds it.
    """

    def __init__(self, description: EncoderDescription, make: Callable[[], Encoder]) -> None:
        super().__init__(licence=description.licence)
        self.modality = description.modality
        self.dim = description.dim
        self.max_features = description.max_features
        self.file_extensions = tuple(description.file_extensions)
        self.description = description
        self._make = make
        self._built: list[Encoder] = []  # in a list, so that torch does not see it: it may come and go
        self._place: Tensor
        self.register_buffer("_place", torch.empty(0), persistent=False)  # moves with the model, to know the device

    @property
    def class_name(self) -> str:
        return self.description.class_name

    @property
    def is_released(self) -> bool:
        return not self._built

    def built(self) -> Encoder:
        """Return the encoder, and build it on the CPU first if it is not in memory.

        On the CPU because data-loading workers, which build it too, cannot use another device.

        Raises:
            ValueError: it is another one than before, because its files have changed.
        """
        if not self._built:
            # Encoders that begin with random weights draw them, which must not change anyone else's random numbers.
            with torch.random.fork_rng(devices=[]):
                encoder = self._make()
            if encoder.fingerprint() != self.description.fingerprint:
                raise ValueError(
                    f"the weights of {self.class_name} ({self.modality}) have changed while they were not in memory: "
                    "the cached features are those of other weights. Start again"
                )
            self._built.append(encoder)
        return self._built[0]

    def release(self) -> bool:
        self._built.clear()
        return True

    def build_again(self) -> None:
        self.built()

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        return self.built().preprocess(media)

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        return self.built().features_per_clip(inputs)

    @property
    def medium(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.built().medium

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        return self.built().feature_regions(media, inputs)

    def media_parts(self, media: Media, most: int) -> MediaParts | None:
        return self.built().media_parts(media, most)

    def label_names(self) -> list[str]:
        return self.built().label_names()

    def label_probabilities(self, inputs: dict[str, Tensor]) -> Tensor:
        return self._on_device().label_probabilities(inputs)

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        return self._on_device()(inputs)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        return self._on_device().encode(inputs)

    def preprocessing_config(self) -> dict[str, Any]:
        return self.built().preprocessing_config()

    def fingerprint(self) -> str:
        return self.description.fingerprint

    def _on_device(self) -> Encoder:
        return self.built().to(self._place.device)
