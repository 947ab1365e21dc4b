"""Embeddings of media of any modality, and of texts, in one space, and how they are compared.

Shapes: B items, D width of the space.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni.config import JointSpaceConfig
from omni.encoders.base import Features
from omni.encoders.fingerprint import Fingerprint, earlier, tensor_bytes
from omni.joint_space.index import EmbeddingIndex
from omni.joint_space.inputs import TEXT, as_media
from omni.joint_space.interaction import INTERACTIONS, POOLED, feature_sets, set_similarity
from omni.joint_space.modality import SpaceModality
from omni.media.item import Media
from omni.model.card import ModelCard
from omni.model.encoder_stack import EncoderStack
from omni.samples.messages import resolve_modality

LARGEST_LOGIT_SCALE = 100.0  # as in CLIP (Radford et al. 2021) and ImageBind
Query = Any  # a media item, a text, an embedding, or {modality: items}; see SpaceEmbeddings.embed_query


class SpaceEmbeddings(EncoderStack):
    """Encoders and heads whose embeddings lie in one space; see `JointSpace`, which searches and saves them."""

    def __init__(
        self,
        modalities: Mapping[str, SpaceModality],
        dim: int,
        logit_scale: float = 1 / 0.07,
        card: ModelCard | None = None,
        interaction: Literal["pooled", "late"] = POOLED,
    ) -> None:
        super().__init__(modalities, card)
        if interaction not in INTERACTIONS:
            raise ValueError(f"interaction is {interaction!r}; allowed: {', '.join(INTERACTIONS)}")
        self.interaction: Literal["pooled", "late"] = interaction
        for name, modality in modalities.items():
            if modality.head.dim != dim:
                raise ValueError(
                    f"modality {name!r}: the head gives width {modality.head.dim}, the space is {dim} wide"
                )
        self.dim = dim
        self.first_logit_scale = logit_scale
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(logit_scale)))
        self.indexes: dict[str, EmbeddingIndex] = {}
        self.centers: dict[str, Tensor] = {}

    def modality(self, name: str) -> SpaceModality:
        """The modality `name`; ValueError lists those that there are. `audio` and `sound` mean the same."""
        return cast(SpaceModality, super().modality(self.resolve(name)))

    def resolve(self, name: str) -> str:
        """The name that a modality has here: `audio` may mean `sound`, and the other way round."""
        if name == "sound" and name not in self.modalities and "audio" in self.modalities:
            return "audio"
        try:
            return resolve_modality(name, self.modalities.keys())
        except ValueError:
            return name  # refused with the names that there are, where it is looked up

    @property
    def config(self) -> JointSpaceConfig:
        """How to build this space again; ValueError if it was put together by hand without configs."""
        modalities = {}
        for name in self.modalities:
            config = self.modality(name).config
            if config is None:
                raise ValueError(f"modality {name!r} was built without a SpaceModalityConfig: give it one to save it")
            modalities[name] = config
        return JointSpaceConfig(modalities, self.dim, self.first_logit_scale, self.interaction)

    @property
    def device(self) -> torch.device:
        return self.log_logit_scale.device

    @property
    def logit_scale(self) -> Tensor:
        """What cosine similarities are multiplied by before a softmax, a scalar of at most 100."""
        return self.log_logit_scale.clamp(max=math.log(LARGEST_LOGIT_SCALE)).exp()

    # --- embeddings ---

    @torch.no_grad()
    def embed(
        self, media: Mapping[str, Sequence[Any]], *, normalize: bool = True, batch_size: int = 16
    ) -> dict[str, Tensor]:
        """Modality -> items to modality -> embeddings [B, D] float32, of unit length unless `normalize` is False.

        Items are paths, bytes, arrays, `(array, sampling_rate)`, pictures or `Media`; those of `text` are the texts.

        Raises:
            ValueError: a modality that the space does not have, or something else than a list of items.
            MediaError: an item cannot be read.
        """
        found = {}
        for name, items in media.items():
            modality = self.resolve(name)
            self.modality(modality)
            prepared = as_media(modality, items)
            rows = [
                self.embed_features(modality, self._encode(modality, prepared[start : start + batch_size]))
                for start in range(0, len(prepared), batch_size)
            ]
            values = torch.cat(rows) if rows else torch.zeros(0, self.dim, device=self.device)
            found[name] = F.normalize(values, dim=-1) if normalize else values
        return found

    def embed_features(self, modality: str, features: Sequence[Features]) -> Tensor:
        """Features of items ([C, N, F], [C, N] each) -> embeddings [B, D] float32 as the head gives them."""
        return self.modality(modality).embed(features, self.device)

    @torch.no_grad()
    def embed_sets(self, media: Mapping[str, Sequence[Any]], *, batch_size: int = 16) -> dict[str, list[Tensor]]:
        """Modality -> items to modality -> the embeddings [N, D] that each item is compared by; see `similarity`.

        They are one of unit length, or one of every feature in a space of late interaction. Where the products of
        published embeddings are published logits, they are as published.

        Raises:
            ValueError, MediaError: as `embed`.
        """
        if self.interaction == POOLED:
            found = {}
            for name, items in media.items():
                rows = self.embed(
                    {name: items}, normalize=not self._has_published_products(name), batch_size=batch_size
                )[name]
                found[name] = [*rows.split(1)]
            return found
        return {name: self._late_sets(name, items, batch_size) for name, items in media.items()}

    def _late_sets(self, name: str, items: Sequence[Any], batch_size: int) -> list[Tensor]:
        resolved = self.resolve(name)
        modality = self.modality(resolved)
        prepared = as_media(resolved, items)
        return [
            one
            for start in range(0, len(prepared), batch_size)
            for one in feature_sets(modality, self._encode(resolved, prepared[start : start + batch_size]), self.device)
        ]

    def similarity(self, query: Query, target: Query) -> Tensor:
        """Compare each of A items with each of B others, as the space was trained to: [A, B].

        It is the cosine of their embeddings; in a space of late interaction, the mean over the query's features of the
        cosine to the target's nearest feature, which differs from the other way round.

        Args:
            query: a text, a `Media`, a list of these, or `{modality: items}`.
            target: likewise.
        """
        first, second = ([F.normalize(one, dim=-1) for one in self._sets_of(side)] for side in (query, target))
        return set_similarity(first, second)

    def _sets_of(self, query: Query) -> list[Tensor]:
        if isinstance(query, Mapping):
            return [one for sets in self.embed_sets(query).values() for one in sets]
        if isinstance(query, str):
            return self.embed_sets({TEXT: [query]})[TEXT]
        if isinstance(query, Media):
            return self.embed_sets({query.modality: [query]})[query.modality]
        if isinstance(query, Sequence):
            return [one for part in query for one in self._sets_of(part)]
        raise ValueError(
            f"expected a Media, a text, a list of these or {{modality: items}}, got a {type(query).__name__}: it is "
            "items that are compared here, not embeddings"
        )

    def embed_query(self, query: Query) -> Tensor:
        """Unit embeddings [B, D] of what may stand for one or several items.

        A `Media`, a text (str), an embedding [D] or embeddings [B, D], a list of such, or `{modality: items}`.
        """
        if isinstance(query, Mapping):
            return torch.cat([*self.embed(query).values()])
        if isinstance(query, str):
            return self.embed({TEXT: [query]})[TEXT]
        if isinstance(query, Media):
            return self.embed({query.modality: [query]})[query.modality]
        if isinstance(query, Tensor | np.ndarray):
            return F.normalize(self._checked(torch.as_tensor(query)), dim=-1)
        if isinstance(query, Sequence) and query:
            return torch.cat([self.embed_query(one) for one in query])
        raise ValueError(
            f"expected a Media, a text, an embedding of width {self.dim}, a list of these or {{modality: items}}, got "
            f"a {type(query).__name__}; a path needs its modality: {{'image': [path]}}"
        )

    def fingerprints(self) -> dict[str, str]:
        """Return for each modality 64 hex digits that change with anything that changes its embeddings.

        They are `Fingerprint`s, since an encoder may have had another one when an index was built.
        """
        found: dict[str, str] = {}
        for name in sorted(self.modalities):
            encoder = self.encoder_fingerprints.of(self.modality(name).encoder)
            before = earlier(encoder)
            digits = self._fingerprint(name, encoder)
            found[name] = Fingerprint(digits, None if before is None else self._fingerprint(name, before))
        return found

    def _fingerprint(self, name: str, encoder: str) -> str:
        """The fingerprint of a modality, with that of its encoder."""
        modality = self.modality(name)
        head = modality.head
        digest = hashlib.sha256(f"{self.dim} {encoder}".encode())
        digest.update(f"{type(head).__qualname__} {head.pooling}".encode())
        if modality.config is not None:  # arguments of heads of one's own, which may leave no trace in the weights
            arguments = dataclasses.asdict(modality.config.head)
            digest.update(json.dumps(arguments, sort_keys=True, default=str).encode())
        for key, value in sorted(head.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor_bytes(value))
        return digest.hexdigest()

    def _encode(self, modality: str, media: Sequence[Media]) -> list[Features]:
        items = [self.prepare_media(one, "(query)", number) for number, one in enumerate(media)]
        return self.encode_items(modality, items)

    def _has_published_products(self, name: str) -> bool:
        """Whether the products of a modality's embeddings with those of texts are published logits."""
        has_text = TEXT in self.modalities
        return has_text and self.modality(name).carries_logit_scale and self.modality(TEXT).carries_logit_scale

    def _checked(self, embeddings: Tensor) -> Tensor:
        if embeddings.ndim not in (1, 2) or embeddings.shape[-1] != self.dim:
            raise ValueError(
                f"embeddings of this space are [D] or [B, D] with D = {self.dim}, got {[*embeddings.shape]}"
            )
        if not bool(embeddings.isfinite().all()):
            raise ValueError("embeddings hold NaN or infinite numbers")
        return embeddings.reshape(-1, self.dim).to(self.device).float()
