"""What every encoder is: one media item in, features out, frozen unless it says otherwise.

Shapes: C clips of one item, B clips of a whole batch, N features of a clip, D feature width.
"""

import hashlib
import inspect
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from omni.media.errors import MediaError
from omni.media.item import Media


class Features(NamedTuple):
    """What an encoder makes of clips; a position whose mask is False holds nothing real."""

    values: Tensor  # [B, N, D]
    mask: Tensor  # [B, N] bool, True = real


class _FreezeWhenBuilt(type):
    """Freezes an encoder after the constructor of its most derived class, so that no subclass can forget to."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        encoder = super().__call__(*args, **kwargs)
        if not encoder.trainable:
            encoder.requires_grad_(False)
            encoder.eval()
        return encoder

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of the constructor, which `__call__` above would hide from whoever builds by class path."""
        signature = inspect.signature(cls.__init__)  # pyright: ignore[reportGeneralTypeIssues]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Encoder(nn.Module, metaclass=_FreezeWhenBuilt):
    """Maps media of one modality to features; subclasses implement `preprocess` and `encode`.

    A frozen encoder (the default) needs no gradient, stays in evaluation mode also after `.train()` and runs under
    `torch.no_grad()`. `trainable=True` is meant for small encoders of new sensors that have no pretrained weights.

    Subclasses set `modality`, `dim` (feature width) and `max_features` (most features that one media item can give,
    all its clips together) in the class body or in their constructor.
    """

    modality: str
    dim: int
    max_features: int
    file_extensions: tuple[str, ...] = ()  # what a chat page may upload, with the dot, in lower case
    version: int = 1  # raise it when a change of the code changes the features: it is part of the fingerprint

    def __init__(self, *, trainable: bool = False, licence: str | None = None) -> None:
        super().__init__()
        self.trainable = trainable
        self.licence = licence
        self._is_unfrozen = False
        self._fingerprint: tuple[Any, str] | None = None

    @property
    def class_name(self) -> str:
        """Name of its class, for people."""
        return type(self).__name__

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """One media item -> CPU tensors for `forward`, each with a leading clip dimension C >= 1. Deterministic.

        Raises MediaError if the item cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement preprocess(media)")

    def preprocess_all(self, items: Sequence[Media]) -> list[dict[str, Tensor] | MediaError]:
        """What `preprocess` gives for each item, or in its place the error why it cannot be used."""
        found: list[dict[str, Tensor] | MediaError] = []
        for media in items:
            try:
                found.append(self.preprocess(media))
            except MediaError as error:
                found.append(error)
            except (ValueError, OSError) as error:  # of encoders of users' own
                found.append(MediaError(media.describe(), str(error)))
        return found

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """What `forward` does; called with tensors on the encoder's device, under `no_grad` if frozen."""
        raise NotImplementedError(f"{type(self).__name__} does not implement encode(inputs)")

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        """N, masked features included, that `forward` gives for each clip of a preprocessed item; None = not known."""
        return None

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Preprocessed clips of any number of items, concatenated to a leading dimension B -> [B, N, D], [B, N]."""
        weight = next(self.parameters(), None)
        if weight is not None:
            inputs = {name: tensor.to(weight.device) for name, tensor in inputs.items()}
        with torch.set_grad_enabled(self.is_trained and torch.is_grad_enabled()):
            features = self.encode(inputs)
        assert features.values.shape[-1] == self.dim, (features.values.shape, self.dim)
        assert features.mask.shape == features.values.shape[:2], (features.mask.shape, features.values.shape)
        return features

    def train(self, mode: bool = True) -> "Encoder":
        """Frozen encoders stay in evaluation mode whatever `mode` is.

        So do pretrained ones of which a part was unfrozen: the running statistics of their norms stay as they are.
        """
        return super().train(mode and self.trainable and self.is_trained)

    @property
    def is_trained(self) -> bool:
        """Whether any weight gets a gradient: then features change from step to step, and none may be kept."""
        allowed = self.trainable or self._is_unfrozen
        return allowed and any(weight.requires_grad for weight in self.parameters())

    def unfreeze(self) -> None:
        """Let gradients through: what has `requires_grad` is trained from now on, though it was built frozen."""
        for module in self.modules():
            if isinstance(module, Encoder):
                module._is_unfrozen = True

    @property
    def published_network(self) -> nn.Module | None:
        """The network whose weights are named as in the published file that they come from, prefixes apart.

        `python -m omni import` tells by it which tensors of the file the encoder took. None where there is none.
        """
        return None

    def preprocessing_config(self) -> dict[str, Any]:
        """Every setting besides the weights that changes the features, as JSON values.

        The default takes all public attributes that hold plain values; a subclass may list its settings instead.
        """
        plain = (bool, int, float, str, tuple, list, type(None))
        left_out = {"training", "trainable", "licence"}
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in left_out and isinstance(value, plain)
        }

    def fingerprint(self) -> str:
        """64 hex digits that change with class, preprocessing settings or any weight; key of the feature cache."""
        # A tensor's version counts changes in place, so weights that are loaded later are noticed without hashing.
        tensors = itertools.chain(self.parameters(), self.buffers())
        state = [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]
        settings = json.dumps(self.preprocessing_config(), sort_keys=True, default=str)
        key = (state, settings)
        if self._fingerprint is None or self._fingerprint[0] != key:
            digest = hashlib.sha256()
            digest.update(f"{type(self).__module__}.{type(self).__qualname__} {self.version} {settings}".encode())
            for name, content in self._weight_bytes():
                digest.update(name.encode())
                digest.update(content)
            self._fingerprint = (key, digest.hexdigest())
        return self._fingerprint[1]

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        """Description and bytes of all weights and buffers; an encoder whose weights are no tensors overrides it."""
        for name, value in sorted(self.state_dict().items()):
            if isinstance(value, Tensor):
                yield f"{name} {value.dtype} {list(value.shape)}", tensor_bytes(value)


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The raw bytes of a tensor of any dtype, without a copy where it is contiguous and on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
