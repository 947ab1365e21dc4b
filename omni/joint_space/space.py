"""JointSpace: media of any modality, and texts, as embeddings in one space (Girdhar et al. 2023, arXiv 2305.05665).

Shapes: B items, D width of the space, L labels, T templates, K results.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from omni.config import JointSpaceConfig
from omni.config.trust import opening
from omni.joint_space.card import render_space_card
from omni.joint_space.checkpoint import (
    SPACE_FILE,
    check_space_files,
    read_centers,
    read_indexes,
    replace_space,
    write_space,
)
from omni.joint_space.embeddings import LARGEST_LOGIT_SCALE, Query, SpaceEmbeddings
from omni.joint_space.folder import SpaceFolder
from omni.joint_space.index import EmbeddingIndex, Hit
from omni.joint_space.inputs import TEXT, is_single, label_texts
from omni.joint_space.interaction import LATE
from omni.joint_space.modality import admit_space_modality, build_space_modality
from omni.media.item import Media
from omni.model.card import ModelCard
from omni.model.folder import CONFIG_FILE
from omni.model.pretrained import Pretrained
from omni.model.trained_state import load_trained_state, trained_state

__all__ = ["LARGEST_LOGIT_SCALE", "JointSpace", "Query", "build_space"]


class JointSpace(Pretrained, SpaceEmbeddings):
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
