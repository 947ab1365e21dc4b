"""`Retrieve`: the ranks of what is right in a gallery, by similarity in a joint space, in every condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.items.conditions import BLANK, OWN, SHUFFLED, Condition, Conditions, only_name
from eval.items.controls import derangement
from eval.items.gallery import Entry, Gallery, Query, queries_of
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.items.prefix import Prefix
from eval.kinds import Retrieve
from eval.metrics.ranking import chance_ndcg, chance_recall, first_right_ranks, ndcg
from eval.run.answers import Answers
from eval.run.kinds.base import Collected, Procedure
from eval.run.plan import Plan
from eval.run.requests import Requests
from eval.scorers import RankingAnswer
from eval.task import Task
from omni.joint_space.interaction import joined, set_similarity

_ROWS = 512  # queries that are compared with the gallery at once
_NUM_TOP = 3
NO_BLANK = "without a query there is nothing to compare"


@dataclass(frozen=True)
class RetrieveProcedure(Procedure):
    """Ranks a gallery; see `Procedure`."""

    kind: Retrieve
    answer_type: ClassVar[type] = RankingAnswer
    compares_embeddings: ClassVar[bool] = True

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Return the queries of the rows."""
        return queries_of(self.kind, loaded)

    def conditions(self, task: Task, items: Sequence[Item], seed: int) -> Conditions:
        """Return the query itself, that of another answer, and of a query of several each part alone."""
        prefixes: dict[str, Condition] = {OWN: [[item.prefix(item.media)] for item in items]}
        parts = self.kind.query_parts
        for shown in [*((part,) for part in parts if len(parts) > 1), *task.only]:
            kept = [[item.prefix(tuple(part for part in item.media if part.modality in shown))] for item in items]
            prefixes[only_name(shown)] = kept
        missing = {BLANK: NO_BLANK}
        drawn = [
            derangement([cast(Query, item).relevant for item in items], seed + number)
            for number in range(task.num_shuffles)
        ]
        shuffles = [shuffle for shuffle in drawn if shuffle is not None]
        if shuffles:
            prefixes[SHUFFLED] = [
                [item.prefix(items[shuffle[index]].media) for shuffle in shuffles] for index, item in enumerate(items)
            ]
        else:
            missing[SHUFFLED] = "all queries have the same right entries, so there is nothing to exchange"
        return Conditions(prefixes, missing, shuffles)

    def settings(self, task: Task, items: Sequence[Item], conditions: Conditions) -> dict[str, Any]:
        """Return what is searched and found, which entries are right, and what guessing gives on the other figures."""
        gallery = _gallery(items)
        number = len(gallery.entries)
        counts = np.array([len(cast(Query, item).relevant) for item in items])
        chances = {f"recall_at_{k}": float(chance_recall(counts, number, k).mean()) for k in (1, 5, 10)}
        gains = {count: chance_ndcg(np.arange(number)[None] < count)[0] for count in {*counts.tolist()}}
        chances["ndcg_at_10"] = float(np.mean([gains[count] for count in counts.tolist()]))
        right = {
            "text": "entries of rows that have a right answer in common with the query; the same content is one entry",
            "row": "entries of the query's own row; equal texts of other rows are wrong, nothing is merged",
        }[self.kind.right]
        weights = {"weights": [*self.kind.weights]} if self.kind.weights else {}
        return {
            "query": self.kind.query,
            "gallery": f"{self.kind.gallery}, {number} entries",
            "right": right,
            "queries": f"{len(items)}; {gallery.num_left_out} without a right entry left out",
            "chance": {name: round(value, 5) for name, value in chances.items()},
            "prompt": "not read by a joint space",
            BLANK: "none",
            **weights,
        }

    def add_requests(self, plan: Plan, requests: Requests) -> None:
        """Ask for the embeddings of all queries and of the gallery."""
        for condition in plan.conditions.values():
            for prefixes in condition:
                for prefix in prefixes:
                    requests.embed(prefix)
        for entry in _gallery(plan.items).entries:
            requests.embed(entry.prefix)

    def collect(self, plan: Plan, kept: Sequence[int], answers: Answers) -> Collected:
        """Return where the right entries stand for each query."""
        entries = _gallery(plan.items).entries
        found = _Ranked(self.kind, entries, answers)
        reasons = found.reasons
        return Collected(
            {name: found.answers(plan.items, condition, kept) for name, condition in plan.conditions.items()},
            {"gallery": reasons} if reasons else {},
        )


class _Ranked:
    """The embedded gallery, which queries are compared with."""

    def __init__(self, kind: Retrieve, entries: Sequence[Entry], answers: Answers) -> None:
        self.weights = dict(zip(kind.query_parts, kind.weights, strict=False))
        self.entries = entries
        self.embeddings = answers.embeddings
        self.scale = answers.logit_scale
        self.places = [place for place, entry in enumerate(entries) if entry.prefix.key in answers.embeddings]
        self.sets = [joined(_units(answers.embeddings[entries[place].prefix.key])) for place in self.places]
        bad = [(entry, answers.failed.get(entry.prefix.key)) for entry in entries]
        lost = [f"{entry.name}: {reason}" for entry, reason in bad if reason is not None]
        self.reasons = (
            f"{len(lost)} of {len(entries)} entries could not be embedded ({'; '.join(lost[:3])})" if lost else ""
        )

    def answers(self, items: Sequence[Item], condition: Condition, kept: Sequence[int]) -> Mapping[int, RankingAnswer]:
        """Return the answer to each item of which a query could be embedded and a right entry is there."""
        there = {place: column for column, place in enumerate(self.places)}
        right = {index: [there[p] for p in cast(Query, items[index]).relevant if p in there] for index in kept}
        asked = [(i, prefix) for i in kept if right[i] for prefix in condition[i] if self.embeddings.get(prefix.key)]
        ranks: dict[int, list[tuple[float, float]]] = {}
        top: dict[int, tuple[tuple[str, float], ...]] = {}
        for start in range(0, len(asked), _ROWS):
            rows = asked[start : start + _ROWS]
            scores = self._similarity([prefix for _, prefix in rows])
            is_right = np.zeros(scores.shape, dtype=bool)
            for row, (index, _) in enumerate(rows):
                is_right[row, right[index]] = True
            figures = zip(first_right_ranks(scores, is_right), ndcg(scores, is_right), strict=True)
            for row, ((index, _), (rank, gain)) in enumerate(zip(rows, figures, strict=True)):
                ranks.setdefault(index, []).append((float(rank), float(gain)))
                if index not in top:
                    top[index] = self._top(scores[row])
        return {
            index: RankingAnswer(items[index], [r for r, _ in own], [g for _, g in own], top[index])
            for index, own in ranks.items()
        }

    def _similarity(self, prefixes: Sequence[Prefix]) -> np.ndarray:
        """The similarity of each query with each entry, [B, T]: of a query of several parts the weighted sum."""
        total = np.zeros((len(prefixes), len(self.sets)), dtype=np.float32)
        parts = [
            (row, self.weights.get(medium.modality, 1.0), F.normalize(own, dim=-1))
            for row, prefix in enumerate(prefixes)
            for medium, own in zip(prefix.media, self.embeddings[prefix.key], strict=True)
        ]
        similarity = set_similarity([own for _, _, own in parts], self.sets).numpy()
        for (row, weight, _), values in zip(parts, similarity, strict=True):
            total[row] += weight * values
        return total

    def _top(self, scores: np.ndarray) -> tuple[tuple[str, float], ...]:
        shifted = np.exp(self.scale * (scores - scores.max()))
        order = np.argsort(-scores, kind="stable")[:_NUM_TOP]
        return tuple((self.entries[self.places[i]].name, round(float(shifted[i] / shifted.sum()), 6)) for i in order)


def _gallery(items: Sequence[Item]) -> Gallery:
    return cast(Query, items[0]).gallery


def _units(sets: Sequence[Tensor]) -> list[torch.Tensor]:
    return [F.normalize(one, dim=-1) for one in sets]
