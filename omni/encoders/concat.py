"""Mix the features of several encoders for one modality.

Shapes: B items, C clips of an item for one encoder, N features of a clip, D width, S side of a grid of features.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from omni.config.components import build
from omni.encoders.base import Encoder, Features
from omni.encoders.encoding import encode_in_chunks
from omni.media.item import Media
from omni.media.parts.contract import MediaParts
from omni.runtime.licences import effective_licence

Mix = Literal["channel", "interleave"]


class Concat(Encoder):
    """Encode an item with several frozen encoders, all features as one clip.

    encoders: encoders, or `{class_path, init_args}` of each.
    mix: "channel" joins features side by side: one feature for each place, as wide as all encoders together.
        "interleave" puts them in turn by their relative place. Each encoder's features have channels of their own and
        are zero in the others', so that an adapter learns a projection for each (interleaved features: Tong et al.
        2024, arXiv:2401.06209, section 5).
    normalize: bring each feature to mean 0 and variance 1, so that no encoder drowns another.

    Where encoders give different numbers of features, "channel" takes the largest as the number of places, and each
    encoder's feature that is nearest to a place: on a square grid where all encoders give as many clips of square
    grids without padding, else along the item's real features in their order. "interleave" orders by (j + 1/2) / n,
    for feature j of n, and by the order of the encoders where that is equal.
    """

    fingerprint_name = "omni.encoders.concat.Concat"

    def __init__(
        self,
        encoders: Sequence[Encoder | Mapping[str, Any]],
        mix: Mix = "channel",
        normalize: bool = True,
        modality: str | None = None,
    ) -> None:
        if mix not in get_args(Mix):
            raise ValueError(f"mix is {mix!r}; allowed: {', '.join(get_args(Mix))}")
        built = [_built(encoder, index, modality) for index, encoder in enumerate(encoders)]
        if not built:
            raise ValueError("encoders is empty; name at least one encoder")
        licences = [encoder.licence for encoder in built]
        super().__init__(licence=effective_licence(licences) if all(licences) else None)
        self.encoders = torch.nn.ModuleList(built)
        self.mix: Mix = mix
        self.normalize = normalize
        self.modality = modality or built[0].modality
        self.widths = [encoder.dim for encoder in built]
        self.dim = sum(self.widths)
        sizes = [encoder.max_features for encoder in built]
        self.max_features = max(sizes) if mix == "channel" else sum(sizes)
        accepted = [set(encoder.file_extensions) for encoder in built]
        self.file_extensions = tuple(name for name in built[0].file_extensions if all(name in one for one in accepted))

    @property
    def medium(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return next((encoder.medium for encoder in self._encoders if encoder.medium), None)

    def media_parts(self, media: Media, most: int) -> MediaParts | None:
        found = (encoder.media_parts(media, most) for encoder in self._encoders)
        return next((parts for parts in found if parts is not None), None)

    @property
    def _encoders(self) -> list[Encoder]:
        return [encoder for encoder in self.encoders if isinstance(encoder, Encoder)]

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one item into the inputs of each encoder, under `INDEX/NAME`, with all its clips in one: [1, C, ...]."""
        found = [encoder.preprocess(media) for encoder in self._encoders]
        return {f"{index}/{name}": value[None] for index, one in enumerate(found) for name, value in one.items()}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        counts = []
        for index, encoder in enumerate(self._encoders):
            own = {name: value[0] for name, value in _inputs_of(inputs, index).items()}
            of_clip = encoder.features_per_clip(own)
            if of_clip is None:
                return None
            counts.append(len(next(iter(own.values()))) * of_clip)
        return max(counts) if self.mix == "channel" else sum(counts)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode clips of items [B, C, ...] with each encoder and mix the features to [B, N, D], [B, N]."""
        parts = [self._encode_one(index, encoder, inputs) for index, encoder in enumerate(self._encoders)]
        items = [[Features(values[i], mask[i]) for values, mask in parts] for i in range(len(parts[0].values))]
        mixed = [_by_channel(item) if self.mix == "channel" else _interleaved(item) for item in items]
        counts = [math.prod(part.mask.shape[1:]) for part in parts]
        length = max(counts) if self.mix == "channel" else sum(counts)
        values = torch.stack([functional.pad(item, (0, 0, 0, length - len(item))) for item in mixed])
        real = torch.tensor([len(item) for item in mixed], device=values.device)
        return Features(values, torch.arange(length, device=values.device) < real[:, None])

    def preprocessing_config(self) -> dict[str, Any]:
        fingerprints = [encoder.fingerprint() for encoder in self._encoders]
        return {"mix": self.mix, "normalize": self.normalize, "modality": self.modality, "encoders": fingerprints}

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        return iter(())  # the encoders' fingerprints hold their weights

    def _encode_one(self, index: int, encoder: Encoder, inputs: dict[str, Tensor]) -> Features:
        """Return the features of one encoder, [B, C, N, D] and [B, C, N]."""
        own = _inputs_of(inputs, index)
        shape = next(iter(own.values())).shape[:2]
        values, mask = encode_in_chunks(encoder, {name: value.flatten(0, 1) for name, value in own.items()})
        if self.normalize:
            values = functional.layer_norm(values.float(), values.shape[-1:])
        return Features(values.unflatten(0, shape), mask.unflatten(0, shape))


def _by_channel(parts: Sequence[Features]) -> Tensor:
    """Join [C, N, D], [C, N] of each encoder side by side -> [places, all widths]."""
    grids = {part.mask.shape[0] for part in parts}
    sides = [math.isqrt(part.mask.shape[1]) for part in parts]
    squares = all(side**2 == part.mask.shape[1] for side, part in zip(sides, parts, strict=True))
    if len(grids) == 1 and squares and all(bool(part.mask.all()) for part in parts):
        largest = max(sides)
        chosen = [_nearest_of_grid(side, largest) for side in sides]
        found = [part.values[:, index.to(part.values.device)] for part, index in zip(parts, chosen, strict=True)]
        return torch.cat(_one_dtype(found), dim=-1).flatten(0, 1)
    real = [part.values[part.mask] for part in parts]
    length = max(len(one) for one in real)
    found = [
        one[_nearest(len(one), length).to(one.device)] if len(one) else one.new_zeros(length, one.shape[1])
        for one in real
    ]
    return torch.cat(_one_dtype(found), dim=-1)


def _interleaved(parts: Sequence[Features]) -> Tensor:
    """Put [C, N, D], [C, N] of each encoder in turn -> [all real features, all widths]."""
    widths = [part.values.shape[-1] for part in parts]
    rows, places = [], []
    for index, part in enumerate(parts):
        real = part.values[part.mask]
        rows.append(functional.pad(real, (sum(widths[:index]), sum(widths[index + 1 :]))))
        places.append((torch.arange(len(real), dtype=torch.float64) + 0.5) / max(1, len(real)))
    order = torch.cat(places).argsort(stable=True)
    joined = torch.cat(_one_dtype(rows))
    return joined[order.to(joined.device)]


def _nearest(count: int, length: int) -> Tensor:
    """Return for each of `length` places, evenly spread, the nearest of `count` features."""
    return ((torch.arange(length) * 2 + 1) * count).div(2 * length, rounding_mode="floor")


def _nearest_of_grid(side: int, largest: int) -> Tensor:
    """Do the same for square grids, row by row: [largest^2]."""
    index = _nearest(side, largest)
    return (index[:, None] * side + index).flatten()


def _one_dtype(values: Sequence[Tensor]) -> list[Tensor]:
    dtype = values[0].dtype if len({value.dtype for value in values}) == 1 else torch.float32
    return [value.to(dtype) for value in values]


def _inputs_of(inputs: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    prefix = f"{index}/"
    return {name.removeprefix(prefix): value for name, value in inputs.items() if name.startswith(prefix)}


def _built(encoder: Encoder | Mapping[str, Any], index: int, modality: str | None) -> Encoder:
    key = f"encoders[{index}]"
    if not isinstance(encoder, Encoder):
        encoder = build(encoder, key, Encoder, **({} if modality is None else {"modality": modality}))
    assert isinstance(encoder, Encoder)
    if encoder.trainable:
        raise ValueError(f"{key}: {encoder.class_name} is trainable; encoders that are joined are frozen")
    return encoder
