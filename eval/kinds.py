"""Declarations of more kinds of tasks: retrieval, probes of frozen encoders, and tests of explanations.

Like those of `eval.task` they are data; `eval.run.kinds` carries them out.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from eval.task import Kind, Task

TEXT = "text"
RightOf = Literal["text", "row"]
Classifier = Literal["linear", "attentive"]
Layers = Literal["last", "all"]


@dataclass(frozen=True)
class Retrieve(Kind):
    """What belongs to the query is found in a gallery, by similarity in a joint space.

    Query and gallery are a modality, `text` = the right answers of a row (`Task.target`), or several that stand for
    one thing together, such as `image+sound`. Several captions, or several media of one modality, are each a query or
    an entry of their own. Where both sides share a modality, the row's last item of it is in the gallery, and those
    before are the query.

    Attributes:
        query: what is searched with.
        gallery: what is found.
        right: which entries are right. `text` = those of every row that has a right answer in common with the query's,
            however it is spelled; entries of the same content (the same file, or the same text) are one. `row` = those
            of the query's own row alone, as in published protocols; nothing is merged, so that an equal caption of
            another row is wrong.
        weights: for a query of several, the weight of each embedding (embedding arithmetic); empty = 1 each.
    """

    query: str
    gallery: str
    right: RightOf = "text"
    weights: tuple[float, ...] = ()

    needs_every_modality: ClassVar[bool] = False

    @property
    def query_parts(self) -> tuple[str, ...]:
        """The modalities of the query."""
        return tuple(self.query.split("+"))

    @property
    def gallery_parts(self) -> tuple[str, ...]:
        """The modalities of the gallery."""
        return tuple(self.gallery.split("+"))

    def check(self, task: Task) -> None:
        """Check that the task shows what is searched with and what is found."""
        for side, parts in (("query", self.query_parts), ("gallery", self.gallery_parts)):
            unknown = [part for part in parts if part != TEXT and part not in task.modalities]
            if unknown or len(set(parts)) < len(parts):
                raise ValueError(
                    f"task {task.name!r}: the {side} is 'text', one of {task.modalities}, or several of these "
                    f"joined by '+', each once; not {'+'.join(parts)!r}"
                )
        if self.query == self.gallery == TEXT:
            raise ValueError(f"task {task.name!r}: query and gallery are both the text, which finds itself")
        if self.right not in get_args(RightOf):
            raise ValueError(f"task {task.name!r}: right is 'text' or 'row', not {self.right!r}")
        if self.weights and len(self.weights) != len(self.query_parts):
            raise ValueError(
                f"task {task.name!r}: {len(self.weights)} weights do not go with the query {self.query!r}; give one "
                "for each of its parts"
            )


@dataclass(frozen=True)
class Probing(Kind):
    """Small classifiers on the features of frozen encoders, without any language model or joint space.

    The labels are the targets. All that is learned is a classifier, and weights over the layers of an encoder that
    offers several (SUPERB, Yang et al. 2021, arXiv:2105.01051).

    Attributes:
        train: the training split.
        classifiers: `linear` = on the mean of the features; `attentive` = one learned query attends over the features
            (Bardes et al. 2024, arXiv:2404.08471).
        layers: `all` = a learned softmax weight for each layer where the encoder has a choice; `last` = the encoder as
            it is.
        shares: of the training labels, stratified and by seed; at least one item a class.
        limit: the most training items, a seeded sample if there are more.
        most_layers: the most layers of an encoder, evenly chosen, the last among them.
        num_positions: for `attentive`, neighbouring features are averaged to at most this many.
        neighbours: whether test items are also found by each other: the nearest by the cosine of the last layer's mean
            features, right if of the same label and not of the same cluster.
    """

    train: str
    classifiers: tuple[Classifier, ...] = ("linear", "attentive")
    layers: Layers = "all"
    shares: tuple[float, ...] = (0.01, 0.1, 1.0)
    limit: int = 2000
    most_layers: int = 9
    num_positions: int = 8
    neighbours: bool = True

    def check(self, task: Task) -> None:
        """Check names and numbers."""
        wrong = [one for one in self.classifiers if one not in get_args(Classifier)]
        if wrong or not self.classifiers:
            raise ValueError(f"task {task.name!r}: classifiers are 'linear' and 'attentive', not {[*self.classifiers]}")
        if self.layers not in get_args(Layers):
            raise ValueError(f"task {task.name!r}: layers is 'last' or 'all', not {self.layers!r}")
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise ValueError(f"task {task.name!r}: shares are numbers above 0 and up to 1, not {[*self.shares]}")
        for name in ("limit", "most_layers", "num_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"task {task.name!r}: {name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Deletion(Kind):
    """Whether the maps of explanations find what the right answer stands on: the deletion test.

    Parts of the item's media are hidden step by step, in the order of its map by occlusion, of that by attention, and
    in random orders; a map is worth the more, the more the likelihood of the right answer falls (Petsiuk et al. 2018,
    RISE, arXiv:1806.07421). The control is the order of another item's map: what any medium of this kind would give.

    Attributes:
        parts: the most parts that a medium is cut into.
        num_steps: steps in which all of them are hidden.
        num_random: random orders that a map is compared with.
    """

    parts: int = 16
    num_steps: int = 4
    num_random: int = 2

    def check(self, task: Task) -> None:
        """Check the numbers."""
        for name in ("num_steps", "num_random"):
            if getattr(self, name) < 1:
                raise ValueError(f"task {task.name!r}: {name} must be at least 1, not {getattr(self, name)}")
        if not self.num_steps <= self.parts:
            raise ValueError(
                f"task {task.name!r}: parts must be at least num_steps, {self.num_steps}, not {self.parts}"
            )
