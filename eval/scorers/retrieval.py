"""Retrieval: recall, ranks and nDCG of the right entries of a gallery."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from eval.items.gallery import Query
from eval.items.item import Item
from eval.scorers.answers import RankingAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.statistics.intervals import bootstrap

_TOP = (1, 5, 10)
_NUM_RESAMPLES = 500


@dataclass(frozen=True)
class RetrievalScorer:
    """Counts the queries that find something right among the nearest k; the primary metric is recall at 1.

    Where several entries are right, recall at k is whether one of them is among the first k, as retrieval benchmarks
    have it; nDCG counts all. A tie counts against a right entry.
    """

    name = "retrieval"
    version = 1
    takes = (RankingAnswer,)
    metric = "recall_at_1"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return the mean share of the gallery that is right."""
        queries = [cast(Query, item) for item in items]
        return sum(len(query.relevant) / len(query.gallery.entries) for query in queries) / len(queries)

    def score(self, answers: Sequence[RankingAnswer], *, condition: str, seed: int) -> Scores:
        """Return recall at 1, 5 and 10, the median rank, the mean reciprocal rank and nDCG at 10."""
        estimates = {
            f"recall_at_{k}": mean_of([float(np.mean(np.asarray(one.ranks) <= k)) for one in answers], answers)
            for k in _TOP
        }
        ranks = np.array([np.mean(one.ranks) for one in answers])
        estimates["median_rank"] = bootstrap(
            lambda chosen: float(np.median(ranks[chosen])),
            len(ranks),
            seed=seed,
            clusters=[one.item.cluster for one in answers],
            num_resamples=_NUM_RESAMPLES,
        )
        estimates["reciprocal_rank"] = mean_of([float(np.mean(1 / np.asarray(one.ranks))) for one in answers], answers)
        estimates["ndcg_at_10"] = mean_of([float(np.mean(one.ndcgs)) for one in answers], answers)
        items = [
            ItemScore(float(np.mean(np.asarray(one.ranks) <= 1)), one.text, one.top, f"rank {one.ranks[0]:.0f}")
            for one in answers
        ]
        return Scores(estimates, items)
