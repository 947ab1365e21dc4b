"""The base class of all encoders: one media item in, features out, frozen unless it says otherwise.

Shapes: C clips of one item, B clips of a whole batch, N features of a clip, D feature width.
"""

import copy
import hashlib
import inspect
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from omni.encoders.arguments import ConstructorArguments, capture_arguments, place_free_class_name
from omni.encoders.fingerprint import Fingerprint, earlier, tensor_bytes
from omni.encoders.layers import parse_layers
from omni.encoders.regions import whole_regions
from omni.encoders.towers import TextTower, VisionTower
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.parts.contract import MediaParts

_OWN_ATTRIBUTES = ("trainable", "licence", "_is_unfrozen", "_arguments", "_fingerprint")  # of `Encoder` itself


class Features(NamedTuple):
    """The features of clips; a position whose mask is False holds nothing real."""

    values: Tensor  # [B, N, D]
    mask: Tensor  # [B, N] bool, True = real


class _FreezeWhenBuilt(type):
    """Acts before and after the constructor of the most derived class, so that no subclass can forget to.

    It keeps what the constructor was given, for the fingerprint, and freezes the encoder.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        given = None if _lists_its_settings(cls) else capture_arguments(cls, args, kwargs, _uncounted_arguments(cls))
        encoder = super().__call__(*args, **kwargs)
        if given is not None and not _shows_all_settings(cls, encoder):
            given.finish(encoder.modules())
            encoder._arguments = given
        if not encoder.trainable:
            encoder.requires_grad_(False)
            encoder.eval()
        return encoder

    @property
    def __signature__(cls) -> inspect.Signature:
        """The signature of the constructor, which `__call__` above would hide from whoever builds by class path."""
        signature = inspect.signature(cls.__init__)  # pyright: ignore[reportGeneralTypeIssues]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Encoder(nn.Module, metaclass=_FreezeWhenBuilt):
    """Map media of one modality to features; subclasses implement `preprocess` and `encode`.

    A frozen encoder (the default) needs no gradient, stays in evaluation mode also after `.train()` and runs under
    `torch.no_grad()`. `trainable=True` is meant for small encoders of new sensors that have no pretrained weights.

    Subclasses set `modality`, `dim` (feature width) and `max_features` (most features that one media item can give,
    all its clips together) in the class body or in their constructor.

    Everything that a constructor was given counts in the fingerprint, unless the class of that constructor lists its
    settings in `preprocessing_config`, or names the argument in `uncounted_arguments`.
    """

    modality: str
    dim: int
    max_features: int
    layers: Sequence[int]  # of an encoder with a choice of layers: see `layer_widths`
    file_extensions: tuple[str, ...] = ()  # what a chat page may upload, with the dot, in lower case
    # What its media are, for explanations: picture, sound, video, cloud, imu, depth or thermal; None = something else,
    # of which arrays [T, ...] are hidden in spans of T.
    medium: str | None = None
    version: int = 1  # raise it when a change of the code changes the features: it is part of the fingerprint
    # Arguments of the constructor that do not change the features, or whose effect the weights show, such as the path
    # of the weights. The ones that base classes name are added.
    uncounted_arguments: tuple[str, ...] = ("trainable", "licence")
    # The name that stands for the code of this class, but not of its subclasses, in the fingerprint; to be kept
    # wherever the class moves. None = module and class, without the folder or package of the module.
    fingerprint_name: str | None = None

    def __init__(self, *, trainable: bool = False, licence: str | None = None) -> None:
        super().__init__()
        self.trainable = trainable
        self.licence = licence
        self._is_unfrozen = False
        self._arguments: ConstructorArguments | None = None  # those that count
        self._fingerprint: tuple[Any, Fingerprint] | None = None

    @property
    def class_name(self) -> str:
        """The name of the class as people read it."""
        return type(self).__name__

    def media_of_file(self, path: str, modality: str) -> Media:
        """Return a file that a user uploads as a media item that `preprocess` takes.

        Args:
            path: the file, whose type is one of `file_extensions`.
            modality: the name that the model has for what this encoder takes.
        """
        return Media(modality, path=path)

    def preview(self, media: Media) -> Any:
        """Return what a person is shown of an item, one of the classes in `omni.previews`; None = the usual.

        A sensor of one's own is shown as what it is, curves for instance, where this says so.

        Raises:
            MediaError: the item cannot be read.
        """
        return None

    @classmethod
    def check_arguments(cls, arguments: Mapping[str, Any]) -> None:
        """Check what can be checked of the constructor's arguments at once: it runs before any model is loaded.

        Args:
            arguments: those that the recipe gives.

        Raises:
            FileNotFoundError, ValueError: the message begins with the name of an argument and a colon.
        """

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """The width of each layer that it can give the features of, the first block's input first; empty = one only."""
        return ()

    def with_layers(self, layers: Sequence[int]) -> Self:
        """Return an encoder with the same weights in memory that gives the features of `layers`, joined by width.

        Raises:
            ValueError: it has no choice of layers, or one of these does not exist.
        """
        widths = self.layer_widths
        if not widths:
            raise ValueError(f"{self.class_name} gives the features of one layer only")
        found = copy.copy(self)
        found.layers = parse_layers(layers, len(widths) - 1)
        found.dim = sum(widths[layer] for layer in found.layers)
        return found

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one media item into CPU tensors for `forward`, each with a leading clip dimension C >= 1; deterministic.

        Raises MediaError if the item cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement preprocess(media)")

    def preprocess_all(self, items: Sequence[Media]) -> list[dict[str, Tensor] | MediaError]:
        """Preprocess each item; an item that cannot be used gives the error that says why instead."""
        found: list[dict[str, Tensor] | MediaError] = []
        for media in items:
            try:
                found.append(self.preprocess(media))
            except MediaError as error:
                found.append(error)
            except (ValueError, OSError) as error:  # raised by users' own encoders
                found.append(MediaError(media.describe(), str(error)))
        return found

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Do the work of `forward`; called with tensors on the encoder's device, under `no_grad` if frozen."""
        raise NotImplementedError(f"{type(self).__name__} does not implement encode(inputs)")

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        """Return N, masked features included, of each clip of a preprocessed item; None = not known."""
        return None

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        """Return the part of a medium that each of its features stands for: [C, N, A, 2], with all N of a clip.

        A start and an end along each of the A axes of such media (`omni.media.parts.contract` lists them), in the
        axis' unit; minus to plus infinity is all of it. None = not known: then explanations have no map by attention.
        The default knows it where the item has one feature.

        Args:
            media: the item.
            inputs: what `preprocess` made of it.
        """
        is_one = len(next(iter(inputs.values()))) == 1 and self.features_per_clip(inputs) == 1
        return whole_regions(1, 1, 1) if is_one else None

    def media_parts(self, media: Media, most: int) -> MediaParts | None:
        """Return a medium cut into at most `most` parts that can be hidden; None = as is usual for its `medium`.

        An encoder of a medium that is none of the usual ones overrides it, so that its answers can be explained.
        """
        return None

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Encode preprocessed clips of any number of items, joined along the dimension B, to [B, N, D], [B, N]."""
        weight = next(self.parameters(), None)
        if weight is not None:
            inputs = {name: tensor.to(weight.device) for name, tensor in inputs.items()}
        with torch.set_grad_enabled(self.is_trained and torch.is_grad_enabled()):
            features = self.encode(inputs)
        assert features.values.shape[-1] == self.dim, (features.values.shape, self.dim)
        assert features.mask.shape == features.values.shape[:2], (features.mask.shape, features.values.shape)
        return features

    def train(self, mode: bool = True) -> "Encoder":
        """Set the mode of a trainable encoder; a frozen one stays in evaluation mode whatever `mode` is.

        So does a pretrained one of which a part was unfrozen: the running statistics of its norms stay as they are.
        """
        return super().train(mode and self.trainable and self.is_trained)

    @property
    def is_trained(self) -> bool:
        """Whether any weight gets a gradient: then features change from step to step, and none may be kept."""
        allowed = self.trainable or self._is_unfrozen
        return allowed and any(weight.requires_grad for weight in self.parameters())

    def unfreeze(self) -> None:
        """Let gradients through: weights with `requires_grad` are trained from now on, though built frozen."""
        for module in self.modules():
            if isinstance(module, Encoder):
                module._is_unfrozen = True

    @property
    def is_released(self) -> bool:
        """Whether the weights are not in memory."""
        return False

    def release(self) -> bool:
        """Drop the weights if the encoder can build itself again, with the same fingerprint; return whether it can."""
        return False

    def build_again(self) -> None:
        """Read the weights again that `release` dropped.

        Raises:
            ValueError: they are not the same as before.
        """

    def label_names(self) -> list[str]:
        """Return the names of the classes of the classifier that the encoder was trained with, in its order.

        Raises:
            ValueError: it has no such classifier.
            FileNotFoundError: the names are not there; the message says how to get them.
        """
        raise ValueError(f"{self.class_name} has no classifier with named classes")

    def label_probabilities(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the probability of each of `label_names`, `[num_labels]`, for one preprocessed item, all its clips.

        Raises:
            ValueError: it has no such classifier.
        """
        raise ValueError(f"{self.class_name} has no classifier with named classes")

    @property
    def published_network(self) -> nn.Module | None:
        """The network whose weights are named as in the published file that they come from, prefixes apart.

        `python -m omni import` tells by it which tensors of the file the encoder took. None where there is none.
        """
        return None

    def vision_tower(self) -> VisionTower:
        """Return the encoder as a network of transformers that sees pictures, for exports.

        Raises:
            ValueError: it is none; the message says why.
        """
        raise ValueError(f"{self.class_name} is no network of transformers that sees pictures")

    def text_tower(self) -> TextTower:
        """Return the encoder as a network of transformers that reads texts, for exports.

        Raises:
            ValueError: it is none; the message says why.
        """
        raise ValueError(f"{self.class_name} is no network of transformers that reads texts")

    def preprocessing_config(self) -> dict[str, Any]:
        """Return every setting besides the weights that changes the features, as JSON values.

        The default takes all public attributes that hold plain values; a subclass may list its settings instead, and
        then speaks for its constructor too.
        """
        plain = (bool, int, float, str, tuple, list, type(None))
        left_out = {"training", "trainable", "licence"}
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in left_out and isinstance(value, plain)
        }

    @property
    def carries_logit_scale(self) -> bool:
        """Whether its features are embeddings times the published logit scale, so that their products are logits."""
        return False

    def fingerprint(self) -> str:
        """Return 64 hex digits, the key of the feature cache, as a `Fingerprint`.

        They change with the class, the settings, what the constructor was given, and any weight; not with the place
        of the class's file.

        Raises:
            ValueError: an argument of the constructor has no content that could be told; the message says what to do.
        """
        # A tensor's version counts changes in place, so weights that are loaded later are noticed without hashing.
        tensors = itertools.chain(self.parameters(), self.buffers())
        state = [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]
        settings = json.dumps(self.preprocessing_config(), sort_keys=True, default=str)
        arguments = None if self._arguments is None else self._arguments.text()
        key = (state, settings, arguments)
        if self._fingerprint is None or self._fingerprint[0] != key:
            name = vars(type(self)).get("fingerprint_name") or place_free_class_name(type(self))
            counted = settings if arguments is None else f"{settings} {arguments}"
            header = f"{name} {self.version} {counted}"
            digits = self._digest(header)
            before = self._earlier_header(settings) if arguments is None else None
            before_digits = digits if before == header else None if before is None else self._digest(before)
            self._fingerprint = (key, Fingerprint(digits, before_digits))
        return self._fingerprint[1]

    def _earlier_header(self, settings: str) -> str | None:
        """The text that began the hash before there were declared names and counted arguments.

        None where it did not tell all settings, of this encoder or of one that it uses.
        """
        for module in self.modules():
            if isinstance(module, Encoder) and module is not self:
                now = module.fingerprint()
                before = earlier(now)
                if before is None:
                    return None
                settings = settings.replace(now, before)
        return f"{type(self).__module__}.{type(self).__qualname__} {self.version} {settings}"

    def _digest(self, header: str) -> str:
        digest = hashlib.sha256(header.encode())
        for name, content in self._weight_bytes():
            digest.update(name.encode())
            digest.update(content)
        return digest.hexdigest()

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        """Yield description and bytes of all weights and buffers; overridden where weights are no tensors."""
        for name, value in sorted(self.state_dict().items()):
            if isinstance(value, Tensor):
                yield f"{name} {value.dtype} {list(value.shape)}", tensor_bytes(value)


def _lists_its_settings(cls: type) -> bool:
    """Whether the class of the constructor, or one derived from it, lists the settings itself."""
    owners = [next(c for c in cls.__mro__ if name in vars(c)) for name in ("preprocessing_config", "__init__")]
    lister, constructor = owners
    return lister is not Encoder and cls.__mro__.index(lister) <= cls.__mro__.index(constructor)


def _uncounted_arguments(cls: type) -> set[str]:
    return {name for base in cls.__mro__ for name in vars(base).get("uncounted_arguments", ())}


def _shows_all_settings(cls: type, encoder: Encoder) -> bool:
    """Whether a constructor left nothing behind but weights and what the default `preprocessing_config` takes.

    Then the fingerprint tells all without the arguments, as it did before arguments counted.
    """
    if any("preprocessing_config" in vars(base) for base in cls.__mro__ if base not in Encoder.__mro__):
        return False
    bare = {*vars(nn.Module()), *_OWN_ATTRIBUTES}
    attributes = {name: value for name, value in vars(encoder).items() if name not in bare}
    hidden_buffers = {name for name, _ in encoder.named_buffers()} - encoder.state_dict().keys()
    return (
        not hidden_buffers
        and not any(True for _ in encoder.children())
        and all(not name.startswith("_") and _is_plain(value) for name, value in attributes.items())
    )


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(_is_plain(one) for one in value)
    return value is None or type(value) in (bool, int, float, str)
