"""An encoder whose weights are not in memory, because all its features are cached."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omni.encoders.base import Encoder, Features
from omni.media.item import Media


@dataclass(frozen=True)
class EncoderDescription:
    """What a model knows of an encoder without its weights; JSON values."""

    class_name: str
    modality: str
    dim: int
    max_features: int
    fingerprint: str
    file_extensions: tuple[str, ...] = ()
    licence: str | None = None

    @classmethod
    def of(cls, encoder: Encoder) -> "EncoderDescription":
        """That of a frozen encoder."""
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
    """Stands in the place of a frozen encoder, and builds it when something is to be preprocessed or encoded.

    description: of the encoder. make: builds it.
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
    def is_built(self) -> bool:
        """Whether the encoder's weights are in memory."""
        return bool(self._built)

    def built(self) -> Encoder:
        """The encoder, built on the CPU if it is not in memory (data-loading workers cannot use another device).

        Raises:
            ValueError: it is another one than before, because its files have changed.
        """
        if not self._built:
            # Encoders that begin with random weights draw them; nobody else's random numbers may change by that.
            with torch.random.fork_rng(devices=[]):
                encoder = self._make()
            if encoder.fingerprint() != self.description.fingerprint:
                raise ValueError(
                    f"the weights of {self.class_name} ({self.modality}) have changed while they were not in memory: "
                    "the cached features are those of other weights. Start again"
                )
            self._built.append(encoder)
        return self._built[0]

    def release(self) -> None:
        """Drop the encoder; it is built again when it is needed."""
        self._built.clear()

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        return self.built().preprocess(media)

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        return self.built().features_per_clip(inputs)

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
