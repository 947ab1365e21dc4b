"""Encode media as embeddings in a trained joint space: what an LLM learns from one modality, it can do with others.

Shapes: C clips of one item, B items, D width of the space.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from omni.encoders.base import Encoder, Features
from omni.encoders.encoding import encode_in_chunks
from omni.encoders.fingerprint import tensor_bytes
from omni.joint_space.space import JointSpace
from omni.media.item import Media
from omni.media.parts.contract import MediaParts


class SpaceEncoder(Encoder):
    """Encode an item as its unit embedding in a joint space, less the centre of its modality.

    Without their centres, the embeddings of two modalities of one meaning differ by little more than noise ("connect,
    collapse, corrupt", Zhang et al. 2024, arXiv 2401.08567): an adapter that was trained on texts alone, with
    `feature_noise`, then understands pictures and sounds.

    space: folder of a `JointSpace`; `python -m omni center` puts the centres there.
    of: name of the modality in the space; default: the same name as in the model. Texts are the modality `text` there,
        and need another name here, where `text` parts of a message are what the LLM reads.
    centered: whether the centre is subtracted.
    """

    max_features = 1
    fingerprint_name = "omni.joint_space.encoder.SpaceEncoder"
    uncounted_arguments = ("space",)

    def __init__(self, space: str, modality: str, of: str | None = None, centered: bool = True) -> None:
        of = of or modality
        loaded = JointSpace.load(space, modalities=[of])
        if centered and of not in loaded.centers:
            raise ValueError(
                f"{space} does not know the centre of {of!r}; measure it: python -m omni center {space} --data PATH"
            )
        inner = loaded.modality(of).encoder
        super().__init__(licence=inner.licence)
        self.space = loaded
        self.modality = modality
        self.of = of
        self.centered = centered
        self.dim = loaded.dim
        self.file_extensions = inner.file_extensions
        self.register_buffer("center", loaded.centers[of] if centered else torch.zeros(loaded.dim), persistent=False)
        self.center: Tensor

    @property
    def _inner(self) -> Encoder:
        return self.space.modality(self.of).encoder

    @property
    def medium(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._inner.medium

    def media_parts(self, media: Media, most: int) -> MediaParts | None:
        return self._inner.media_parts(media, most)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one item into the inputs of the space's encoder, with all its clips as one: [1, C, ...]."""
        inputs = self._inner.preprocess(replace(media, modality=self._inner.modality))
        return {name: tensor[None] for name, tensor in inputs.items()}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return 1

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode tensors [B, C, ...] to [B, 1, D]."""
        items, clips = next(iter(inputs.values())).shape[:2]
        flat = encode_in_chunks(self._inner, {name: tensor.flatten(0, 1) for name, tensor in inputs.items()})
        values, mask = (part.unflatten(0, (items, clips)) for part in flat)
        embeddings = self.space.embed_features(self.of, [*map(Features, values, mask)])
        centered = F.normalize(embeddings, dim=-1) - self.center
        return Features(centered[:, None], torch.ones(items, 1, dtype=torch.bool, device=centered.device))

    def preprocessing_config(self) -> dict[str, Any]:
        head = self.space.modality(self.of).config
        arguments = {} if head is None else head.head.init_args
        # Only where there are any, so that what was cached before is still found.
        return {"encoder": self._inner.fingerprint(), "centered": self.centered} | (
            {"head": arguments} if arguments else {}
        )

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        yield "center", tensor_bytes(self.center)
        for name, value in sorted(self.space.modality(self.of).head.state_dict().items()):
            yield f"head.{name} {value.dtype} {list(value.shape)}", tensor_bytes(value)
