"""The figures of retrieval: recall, mean reciprocal rank and nDCG with intervals and chance, and the modality gap.

Shapes: B queries, T targets.
"""

from typing import Any

import numpy as np
import torch

from eval.metrics.ranking import chance_ndcg, first_right_ranks, median_rank, ndcg, recall_at, reciprocal_ranks
from eval.retrieval.items import Items
from eval.statistics.intervals import bootstrap, bootstrap_mean
from omni.joint_space.interaction import set_similarity

TOP = (1, 5, 10)
_NDCG, _MEDIAN = "ndcg@10", "median_rank"
_CHANCE_DRAWS = 200  # random rankings that chance is the mean over


def measure(query: Items, target: Items, seed: int = 0) -> dict[str, Any]:
    """Return recall at 1, 5 and 10, the reciprocal and the median rank of the first right target, and nDCG at 10, each
    with interval and chance; the modality gap; and the mean cosine of right pairs.

    Rows of one text are no independent cases, so the intervals come from a bootstrap over texts.
    """
    names = sorted({*query.texts})
    right = torch.tensor([[text == other for other in target.texts] for text in query.texts])
    scores = set_similarity(query.sets, target.sets)
    by_text = sorted(range(len(query.texts)), key=query.texts.__getitem__)
    texts = [query.texts[index] for index in by_text]
    is_right = right.numpy()
    ranks = first_right_ranks(scores.numpy(), is_right)
    values = _of_ranks(ranks) | {_NDCG: ndcg(scores.numpy(), is_right)}
    random = np.random.default_rng(seed)
    drawn = [first_right_ranks(random.random(right.shape), is_right) for _ in range(_CHANCE_DRAWS)]
    draws = [_of_ranks(one) for one in drawn]
    chances = {name: float(np.mean([one[name].mean() for one in draws])) for name in draws[0]}
    chances[_NDCG] = float(chance_ndcg(is_right).mean())
    figures: dict[str, Any] = {"queries": len(query.texts), "texts": len(names), "targets": len(target.texts)}
    for name, own in values.items():
        found = bootstrap_mean(own[by_text].tolist(), seed=seed, clusters=texts)
        figures[name] = {"value": float(own.mean()), "low": found.low, "high": found.high, "chance": chances[name]}
    ordered = ranks[by_text]
    found = bootstrap(lambda chosen: median_rank(ordered[chosen]), len(ordered), seed=seed, clusters=texts)
    chance = float(np.mean([median_rank(one) for one in drawn]))
    figures[_MEDIAN] = {"value": found.value, "low": found.low, "high": found.high, "chance": chance}
    gap = (query.embeddings.mean(0) - target.embeddings.mean(0)).norm()
    return figures | {"gap": float(gap), "cosine_of_pairs": float(scores[right].mean())}


def _of_ranks(ranks: np.ndarray) -> dict[str, np.ndarray]:
    return {f"recall@{k}": recall_at(ranks, k) for k in TOP} | {"reciprocal_rank": reciprocal_ranks(ranks)}


def summary(query: str, target: str, figures: dict[str, Any]) -> str:
    """Return the figures as a table for the terminal."""
    sizes = f"{figures['queries']} queries of {figures['texts']} texts, {figures['targets']} targets"
    lines = [f"{query} -> {target}: {sizes}"]
    for name in (*(f"recall@{k}" for k in TOP), "reciprocal_rank", _NDCG):
        one = figures[name]
        times = one["value"] / one["chance"]
        interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
        lines.append(f"{name:<16} {one['value']:.3f} {interval}  chance {one['chance']:.3f}  {times:.1f} x chance")
    median = figures[_MEDIAN]
    interval = f"[{median['low']:g}, {median['high']:g}]"
    lines.append(f"{_MEDIAN:<16} {median['value']:g} {interval}  chance {median['chance']:.1f}")
    lines.append(f"modality gap {figures['gap']:.3f}, mean cosine of pairs {figures['cosine_of_pairs']:.3f}")
    return "\n".join(lines)
