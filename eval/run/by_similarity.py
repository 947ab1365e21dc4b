"""Tasks on a joint space: the likelihood of a candidate is its similarity with the media, times the logit scale.

What the question says is not read. Several media of an item are one (`omni.joint_space.interaction.joined`), and so are
several templates of a candidate. A kind that asks for likelihoods runs as it is; one that has the model write is
refused.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.items.conditions import BLANK, OWN, Conditions
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.items.prefix import Prefix
from eval.run.answers import Answers
from eval.run.kinds import Collected, Procedure, procedure_of
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.task import Task
from omni.joint_space.inputs import TEXT, label_texts, text_media
from omni.joint_space.interaction import joined, set_similarity

_ROWS = 1024  # prefixes that are compared with all candidates at once
NO_BLANK = "a joint space compares media with texts: without media there is nothing to compare"


def for_space(task: Task, modalities: Collection[str]) -> Task:
    """Return a task as it is run on a joint space with these modalities.

    Its kind says why it cannot run, where it cannot. Templates stand in the place of the form in which a language model
    says a candidate.
    """
    procedure = procedure_of(task.kind)
    if procedure.compares_embeddings or procedure.reads_features:
        return task
    if task.shots:
        reason = "a joint space reads no solved examples"
    elif TEXT not in modalities:
        reason = "this joint space has no modality 'text' to compare the candidates by"
    else:
        reason = ""
    templates = task.kind.templates
    form = "{answer}" if templates else task.answer_form
    return replace(task, kind=BySimilarity(procedure, templates, reason), answer_form=form)


@dataclass(frozen=True)
class BySimilarity(Procedure):
    """Runs a kind that asks for likelihoods on a joint space; see `Procedure`.

    Attributes:
        inner: the procedure of the kind.
        templates: texts with `{}` where a candidate goes.
        refused: why it cannot run; empty = it can.
    """

    inner: Procedure
    templates: tuple[str, ...] = ()
    refused: str = ""
    compares_embeddings: ClassVar[bool] = True

    @property
    def answer_type(self) -> type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The class of answers that the kind collects."""
        return self.inner.answer_type

    @property
    def needs_every_modality(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the kind says."""
        return self.inner.needs_every_modality

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Return the items as the kind prepares them.

        Raises:
            ValueError: a joint space cannot be asked; and as the kind.
        """
        if self.refused:
            raise ValueError(f"task {task.name!r}: {self.refused}")
        return self.inner.prepare(task, loaded, seed)

    def conditions(self, task: Task, items: Sequence[Item], seed: int) -> Conditions:
        """Return the conditions of the kind."""
        return self.inner.conditions(task, items, seed)

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return the settings of the kind, and how similarity stands for likelihood."""
        own = {
            "kind": f"{task_kind_name(self.inner)} by similarity",
            "prompt": "not read by a joint space",
            "likelihood": "similarity in the joint space x its logit scale; sum, mean and bytes are the same",
            BLANK: "none",
        }
        if self.templates:
            own["templates"] = f"{len(self.templates)}, the mean of their embeddings: {self.templates[0]!r}, ..."
        return self.inner.settings(task, items, conditions) | own

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for the embeddings of all media and texts whose likelihoods the kind asks for.

        Raises:
            ValueError: the kind has the model write.
        """
        asked = _AskedLikelihoods()
        self.inner.add_requests(plan, asked)
        if asked.generations:
            raise ValueError(
                f"task {plan.task.name!r} has the model write its answer, and a joint space writes nothing; give "
                "--model the folder of a model with an LLM"
            )
        for prefix in asked.prefixes.values():
            if prefix.media:
                requests.embed(prefix)
        for text in self._texts([*asked.texts]):
            requests.embed(text_prefix(text))

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return what the kind collects of the similarities."""
        asked = _AskedLikelihoods()
        self.inner.add_requests(plan, asked)
        candidates = [*asked.texts]
        try:
            found = _similarities(answers, asked.prefixes, [self._texts([one]) for one in candidates])
        except ValueError as error:
            return Collected({}, {OWN: str(error)})
        likely = SimilarityAnswers.of(answers, found, candidates)
        collected = self.inner.collect(plan, kept, likely)
        kinds = {name: own for name, own in collected.answers.items() if name != BLANK}
        return Collected(kinds, {**collected.not_computed, BLANK: NO_BLANK})

    def _texts(self, candidates: Sequence[str]) -> list[str]:
        return label_texts(candidates, self.templates or None) if candidates else []


def task_kind_name(procedure: Procedure) -> str:
    """Return the name of a kind as results say it, such as `choose`."""
    return type(procedure).__name__.removesuffix("Procedure").lower()


def text_prefix(text: str) -> Prefix:
    """Return the request for the embeddings of a text."""
    return Prefix((text_media(text),), "")


@dataclass
class _AskedLikelihoods(Requests):
    """The prefixes and the distinct texts that a kind asks the likelihoods of; not which goes with which."""

    texts: dict[str, None] = field(default_factory=dict)
    _last: Iterable[str] = ()

    def score(self, prefix: Prefix, candidates: Iterable[str]) -> None:
        self.prefixes[prefix.key] = prefix
        if candidates is not self._last:  # classes are the same tuple for every item
            self.texts.update(dict.fromkeys(candidates))
            self._last = candidates


@dataclass(frozen=True)
class SimilarityAnswers(Answers):
    """Similarities in a joint space as the log-likelihoods of candidates, up to a constant of each prefix.

    Attributes:
        rows: prefix key -> log-likelihood of each candidate.
        columns: candidate -> its place in a row.
        last: the candidates that were asked for last, and their places.
    """

    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    columns: Mapping[str, int] = field(default_factory=dict)
    last: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, answers: Answers, rows: Mapping[str, np.ndarray], candidates: Sequence[str]) -> "SimilarityAnswers":
        """Return the answers of a space with these similarities; a text has no length that would count."""
        columns = {candidate: number for number, candidate in enumerate(candidates)}
        return cls({}, defaultdict(lambda: 1), {}, answers.failed, rows=rows, columns=columns)

    def likelihoods(self, prefix: Prefix, candidates: Sequence[str]) -> Any:
        """Return the log-likelihood of each candidate, all equal without media; None if a medium cannot be embedded."""
        if not prefix.media:
            return np.broadcast_to(np.float32(0), len(candidates))
        row = self.rows.get(prefix.key)
        return None if row is None else row[self._places(candidates)]

    def _places(self, candidates: Sequence[str]) -> Any:
        if self.last and self.last[0] is candidates:  # classes are the same tuple for every item
            return self.last[1]
        places: Any = np.array([self.columns[candidate] for candidate in candidates])
        if np.array_equal(places, np.arange(len(self.columns))):
            places = slice(None)  # of all candidates in their order, no copy is made
        self.last[:] = [candidates, places]
        return places

    def num_bytes(self, candidate: str) -> int:
        """Return 1: a longer text is no less likely."""
        return 1


def _similarities(
    answers: Answers, prefixes: Mapping[str, Prefix], texts: Sequence[Sequence[str]]
) -> dict[str, np.ndarray]:
    """Return prefix key -> similarity x logit scale with each candidate, which its templates' texts stand for."""
    classes = [_class_sets(answers, own) for own in texts]
    flat = [one for sets in classes for one in sets]
    starts = np.cumsum([0, *(len(sets) for sets in classes)])[:-1]
    counts = np.array([len(sets) for sets in classes])
    keys = [key for key, prefix in prefixes.items() if prefix.media and key in answers.embeddings]
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(keys), _ROWS):
        chosen = keys[start : start + _ROWS]
        similarity = set_similarity([joined(answers.embeddings[key]) for key in chosen], flat).numpy()
        means = np.add.reduceat(similarity, starts, axis=1) / counts
        logits = (means * answers.logit_scale).astype(np.float32)
        found |= dict(zip(chosen, logits, strict=True))
    return found


def _class_sets(answers: Answers, texts: Sequence[str]) -> list[Tensor]:
    """The sets that stand for one candidate: the mean of its templates' embeddings, or all where sets are larger."""
    sets = []
    for text in texts:
        key = text_prefix(text).key
        if key in answers.failed:
            raise ValueError(f"the joint space cannot embed the candidate {text!r}: {answers.failed[key]}")
        sets.append(F.normalize(answers.embeddings[key][0], dim=-1))
    if all(len(one) == 1 for one in sets):
        return [F.normalize(torch.cat(sets).mean(0, keepdim=True), dim=-1)]
    return sets
