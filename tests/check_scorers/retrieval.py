"""Retrieval against scikit-learn, and against a sorted list."""

from collections.abc import Iterator

import numpy as np
from sklearn import metrics as sk

from eval.items.item import Item
from eval.metrics import ranking
from eval.scorers.answers import RankingAnswer
from tests.check_scorers.comparing import Outcome, compare, figures, item_values


def ranks(number: int) -> Iterator[Outcome]:
    """Ranks and nDCG against scikit-learn, and against a sorted list."""
    draw = np.random.default_rng(6)
    gains, ranks = [], []
    for _ in range(number):
        queries, targets = int(draw.integers(1, 6)), int(draw.integers(2, 20))
        scores, right = draw.random((queries, targets)), draw.random((queries, targets)) < 0.3
        right[:, 0] |= ~right.any(1)
        gains.append((ranking.ndcg(scores, right).mean(), sk.ndcg_score(right, scores, k=10)))
        found = ranking.first_right_ranks(scores, right)
        places = [1 + [bool(right[q, t]) for t in np.argsort(-scores[q])].index(True) for q in range(queries)]
        own = [ranking.recall_at(found, 5).mean(), ranking.reciprocal_ranks(found).mean(), ranking.median_rank(found)]
        theirs = [np.mean([p <= 5 for p in places]), np.mean([1 / p for p in places]), np.median(places)]
        ranks.append((own, theirs))
    yield compare("eval.retrieval", "nDCG@10", "scikit-learn", gains)
    yield compare("eval.retrieval", "R@5, MRR, median rank", "sorted lists", ranks)


def queries(number: int) -> Iterator[Outcome]:
    """The scorer of `Retrieve`, with one right entry of 30 for each query."""
    draw = np.random.default_rng(24)
    scores, right = draw.random((number, 30)), draw.integers(0, 30, number)
    positive = np.eye(30, dtype=bool)[right]
    places, gains = ranking.first_right_ranks(scores, positive), ranking.ndcg(scores, positive)
    answers = [
        RankingAnswer(Item(str(n), (), "", "x", n), [float(place)], [float(gain)])
        for n, (place, gain) in enumerate(zip(places, gains, strict=True))
    ]
    own = figures("retrieval-v1", answers)
    names = ("recall_at_1", "recall_at_5", "recall_at_10", "reciprocal_rank", "ndcg_at_10")
    theirs = [sk.top_k_accuracy_score(right, scores, k=k, labels=range(30)) for k in (1, 5, 10)]
    theirs += [sk.label_ranking_average_precision_score(positive, scores), sk.ndcg_score(positive, scores, k=10)]
    yield compare(
        "retrieval-v1", "R@1, 5, 10, MRR, nDCG@10 of the set", "scikit-learn", [([own[n] for n in names], theirs)]
    )
    hits = zip(item_values("retrieval-v1", answers), scores.argmax(1) == right, strict=True)
    yield compare("retrieval-v1", "found first or not", "argmax", hits)
