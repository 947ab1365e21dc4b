"""JointSpace: media of any modality, and texts, as embeddings in one space (Girdhar et al. 2023, arXiv 2305.05665).

Shapes: B items, D width of the space, L labels, T templates, K results.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni.config import JointSpaceConfig
from omni.config.trust import opening
from omni.encoders.base import Features
from omni.encoders.fingerprint import Fingerprint, earlier, tensor_bytes
from omni.joint_space.card import render_space_card
from omni.joint_space.checkpoint import (
    SPACE_FILE,
    check_space_files,
    read_centers,
    read_indexes,
    replace_space,
    write_space,
)
from omni.joint_space.folder import SpaceFolder
from omni.joint_space.index import EmbeddingIndex, Hit
from omni.joint_space.inputs import TEXT, as_media, is_single, label_texts
from omni.joint_space.interaction import INTERACTIONS, LATE, POOLED, feature_sets, set_similarity
from omni.joint_space.modality import SpaceModality, admit_space_modality, build_space_modality
from omni.media.item import Media
from omni.model.card import ModelCard
from omni.model.encoder_stack import EncoderStack
from omni.model.folder import CONFIG_FILE
from omni.model.pretrained import Pretrained
from omni.model.trained_state import load_trained_state, trained_state
from omni.samples.messages import resolve_modality

LARGEST_LOGIT_SCALE = 100.0  # as in CLIP (Radford et al. 2021) and ImageBind
Query = Any  # a media item, a text, an embedding, or {modality: items}; see JointSpace.embed_query


class JointSpace(Pretrained, EncoderStack):
    """Encoders and heads whose embeddings lie in one space: what means the same is near, whatever its modality.

    Args:
        modalities: name -> encoder and head; the one called `text` takes plain texts.
        dim: width of the embeddings.
        logit_scale: what cosine similarities are multiplied by before a softmax; learned in training.
        card: what is known of its training, for the model card.
        interaction: `pooled` = two items are compared by one embedding each; `late` = feature by feature, as
            `omni.losses.FILIP` trains it.

    Attributes:
        indexes: name -> index of embeddings, saved with the space.
        centers: modality -> mean unit embedding [D] of its items, where `measure_centers` measured it; saved with it.
    """

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

    def classify(self, media: Any, labels: Sequence[str], templates: Sequence[str] | None = None) -> Any:
        """Zero-shot: the probability of each label, [B, L]; of `{modality: items}`, one such tensor for each modality.

        Cosine similarities are multiplied by the space's logit scale. Published embeddings that carry a scale of their
        own, as ImageBind's, are multiplied as they are: a softmax of the published code's products.

        Args:
            media: what `embed_query` takes.
            labels: names of the classes.
            templates: texts with `{}` where the label goes, such as "a photo of a {}."; a class is the mean of their
                embeddings (Radford et al. 2021, section 3.1.4), or in a space of late interaction the mean of their
                similarities (Yao et al. 2021, section 3.3).
        """
        if self.interaction == LATE:
            return self._classify_late(media, labels, templates)
        classes = self.embed_labels(labels, templates) * self.label_scale()
        if isinstance(media, Mapping):
            return {name: (self._for_labels({name: items}) @ classes.T).softmax(-1) for name, items in media.items()}
        return (self._for_labels(media) @ classes.T).softmax(-1)

    @torch.no_grad()
    def label_scale(self) -> Tensor:
        """What unit embeddings of labels are multiplied by before a softmax: the published scale of texts, if any."""
        if TEXT in self.modalities and self.modality(TEXT).carries_logit_scale:
            return self.embed({TEXT: ["a"]}, normalize=False)[TEXT].norm()
        return self.logit_scale.detach()

    def embed_labels(self, labels: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Unit embeddings [L, D] of classes by their names; see `classify`."""
        texts = label_texts(labels, templates)
        embeddings = self.embed({TEXT: texts})[TEXT].unflatten(0, (len(labels), -1))
        return F.normalize(embeddings.mean(1), dim=-1)

    def _classify_late(self, media: Any, labels: Sequence[str], templates: Sequence[str] | None) -> Any:
        texts = label_texts(labels, templates)
        if isinstance(media, Mapping):
            return {name: self._classify_late([{name: items}], labels, templates) for name, items in media.items()}
        similarity = self.similarity(media, texts).unflatten(1, (len(labels), -1)).mean(-1)
        return (similarity * self.logit_scale.detach()).softmax(-1)

    def retrieve(
        self, query: Query, index: EmbeddingIndex | str | Tensor | Mapping[str, Sequence[Any]], k: int = 10
    ) -> Any:
        """The `k` nearest of an index: a list of `Hit`s, nearest first; for several queries a list of such lists.

        Args:
            query: what `embed_query` takes.
            index: an `EmbeddingIndex`, the name of one that is saved with the space, embeddings [N, D], or
                `{modality: items}`, the only one for a space of late interaction.
        """
        if isinstance(index, Mapping):
            return self._retrieve_items(query, index, k)
        self._refuse_late("retrieve takes {modality: items} in place of an index")
        if isinstance(index, str):
            if index not in self.indexes:
                raise ValueError(f"the space has no index {index!r}; it has {sorted(self.indexes)}")
            index = self.indexes[index]
        elif isinstance(index, Tensor):
            index = EmbeddingIndex.build(F.normalize(self._checked(index), dim=-1))
        index.check_space(self.fingerprints)
        hits: list[list[Hit]] = index.search(self.embed_query(query), k)
        return hits[0] if is_single(query) else hits

    def make_index(
        self, media: Mapping[str, Sequence[Any]] | Tensor, ids: Sequence[str] | None = None, **options: Any
    ) -> EmbeddingIndex:
        """An index of the embeddings of `media`, bound to this space; `options` are those of `EmbeddingIndex.build`.

        Put it into `indexes` to save it with the space.

        Raises:
            ValueError: the space is one of late interaction; and as `EmbeddingIndex.build`.
        """
        self._refuse_late("retrieve(query, {modality: items}) needs no index")
        return EmbeddingIndex.build(self.embed_query(media), ids, space=self.fingerprints(), **options)

    def _retrieve_items(self, query: Query, gallery: Mapping[str, Sequence[Any]], k: int) -> Any:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        similarity = self.similarity(query, gallery).cpu()
        scores, rows = similarity.sort(dim=1, descending=True, stable=True)
        hits = [
            [Hit(str(row), row, score) for row, score in zip(some_rows[:k], some_scores[:k], strict=True)]
            for some_rows, some_scores in zip(rows.tolist(), scores.tolist(), strict=True)
        ]
        return hits[0] if is_single(query) else hits

    def _refuse_late(self, way_out: str) -> None:
        if self.interaction == LATE:
            raise ValueError(
                "this space compares items feature by feature (late interaction), and an index holds one embedding an "
                f"item: {way_out}"
            )

    def compose(self, parts: Sequence[tuple[Query, float]], *, normalize: bool = True) -> Tensor:
        """Embedding arithmetic: the weighted sum [D] of unit embeddings, such as a picture's and a sound's.

        Each part is what `embed_query` takes, and means one item.
        """
        if not parts:
            raise ValueError("compose needs at least one (item, weight)")
        total = torch.zeros(self.dim, device=self.device)
        for query, weight in parts:
            found = self.embed_query(query)
            if len(found) != 1:
                raise ValueError(f"each part of compose is one item; this one is {len(found)}")
            total = total + float(weight) * found[0]
        return F.normalize(total, dim=-1) if normalize else total

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

    def _for_labels(self, query: Query) -> Tensor:
        """Embeddings [B, D] whose products with scaled labels are logits: of unit length, or as published."""
        if isinstance(query, str):
            query = {TEXT: [query]}
        elif isinstance(query, Media):
            query = {query.modality: [query]}
        if isinstance(query, Mapping):
            rows = [
                found
                for name, items in query.items()
                for found in self.embed({name: items}, normalize=not self._has_published_products(name)).values()
            ]
            return torch.cat(rows)
        if isinstance(query, Sequence) and query:
            return torch.cat([self._for_labels(one) for one in query])
        return self.embed_query(query)

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

    # --- folders ---

    def write(self, directory: Path) -> None:
        modalities = {name: self.modality(name) for name in self.modalities}
        folder = SpaceFolder(directory, self.config, self.card, frozenset(self.unfrozen))
        self.remember_classes(directory)
        card_text = render_space_card(modalities, self.dim, self.card, self.unfrozen)
        write_space(folder, trained_state(self), card_text, self.centers, self.indexes)

    def save(self, directory: str | Path, card: ModelCard | None = None) -> None:
        """Write heads, config, model card and indexes to a folder, in one atomic step."""
        if card is not None:
            self.card = card
        replace_space(Path(directory), self.write)

    @classmethod
    def load(
        cls,
        directory: str | Path,
        trust_code: bool = False,
        *,
        modalities: Collection[str] | None = None,
        device: str | torch.device | None = None,
    ) -> Self:
        """Load what `save` wrote; strict: a missing, unexpected or misshaped key is an error that names it.

        trust_code: run code that the folder names and that is not omni's; see SECURITY.md. What was trained or saved
            on this machine needs no such word.
        modalities: only these, which saves the memory of the others' encoders.

        Raises:
            FileNotFoundError: there is no space.
            ValueError: a class that may not run, keys that do not fit, damaged weights, or a modality that the space
                does not have.
        """
        folder = SpaceFolder.read(Path(directory))
        if modalities is not None:
            folder = folder.with_only(modalities)
        with opening(folder.path / CONFIG_FILE, trust_code):
            for name, modality in folder.config.modalities.items():
                admit_space_modality(modality, name)
            space = cls.build(folder.config, device, folder.card)
        space.unfrozen = {*folder.unfrozen}
        load_trained_state(space, folder.path / SPACE_FILE, ignored=folder.parts_left_out)
        space.centers = read_centers(folder)
        space.indexes = read_indexes(folder)
        check_space_files(folder.path)
        return space.train(False)

    @classmethod
    def build(cls, config: JointSpaceConfig, device: str | torch.device | None, card: ModelCard | None) -> Self:
        """Build an untrained space; see `build_space`."""
        modalities = {name: build_space_modality(one, name, config.dim) for name, one in config.modalities.items()}
        space = cls(modalities, config.dim, config.logit_scale, card, config.interaction)
        return space.to(device or "cpu").train(False)


def build_space(
    config: JointSpaceConfig, device: str | torch.device | None = None, card: ModelCard | None = None
) -> JointSpace:
    """Build an untrained space: frozen encoders with their weights, new heads.

    New weights come from torch's global random state: seed it before.
    """
    return JointSpace.build(config, device, card)
