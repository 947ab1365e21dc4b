"""The figures of retrieval: recall and mean reciprocal rank with intervals and chance, and the modality gap.

Shapes: B queries, T targets.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from eval.retrieval.items import Items
from eval.statistics.intervals import bootstrap_mean

TOP = (1, 5)
_CHANCE_DRAWS = 200  # random rankings that chance is the mean over


def measure(query: Items, target: Items, seed: int = 0) -> dict[str, Any]:
    """Return recall at 1 and 5 and the reciprocal rank of the first right target, each with interval and chance; the
    modality gap; and the mean cosine of right pairs.

    Rows of one text are no independent cases, so the intervals come from a bootstrap over texts.
    """
    names = sorted({*query.texts})
    right = torch.tensor([[text == other for other in target.texts] for text in query.texts])
    scores = query.embeddings @ target.embeddings.T
    by_text = sorted(range(len(query.texts)), key=query.texts.__getitem__)
    texts = [query.texts[index] for index in by_text]
    ranks = first_right_ranks(scores, right)
    random = np.random.default_rng(seed)
    shuffled = [first_right_ranks(torch.from_numpy(random.random(right.shape)), right) for _ in range(_CHANCE_DRAWS)]
    chances = [_metrics(found) for found in shuffled]
    figures: dict[str, Any] = {"queries": len(query.texts), "texts": len(names), "targets": len(target.texts)}
    for name, values in _metrics(ranks).items():
        found = bootstrap_mean(values[by_text].tolist(), seed=seed, clusters=texts)
        chance = float(np.mean([one[name].mean() for one in chances]))
        figures[name] = {"value": float(values.mean()), "low": found.low, "high": found.high, "chance": chance}
    gap = (query.embeddings.mean(0) - target.embeddings.mean(0)).norm()
    return figures | {"gap": float(gap), "cosine_of_pairs": float(scores[right].mean())}


def _metrics(ranks: np.ndarray) -> dict[str, np.ndarray]:
    return {f"recall@{k}": (ranks <= k).astype(float) for k in TOP} | {"reciprocal_rank": 1 / ranks}


def first_right_ranks(scores: Tensor, right: Tensor) -> np.ndarray:
    """Return the rank (from 1) of the best right target of each query; a tie counts against it: [B, T] x 2 -> [B]."""
    best = scores.masked_fill(~right, float("-inf")).amax(1, keepdim=True)
    return ((scores >= best) & ~right).sum(1).numpy() + 1.0


def summary(query: str, target: str, figures: dict[str, Any]) -> str:
    """Return the figures as a table for the terminal."""
    sizes = f"{figures['queries']} queries of {figures['texts']} texts, {figures['targets']} targets"
    lines = [f"{query} -> {target}: {sizes}"]
    for name in (*(f"recall@{k}" for k in TOP), "reciprocal_rank"):
        one = figures[name]
        times = one["value"] / one["chance"]
        interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
        lines.append(f"{name:<16} {one['value']:.3f} {interval}  chance {one['chance']:.3f}  {times:.1f} x chance")
    lines.append(f"modality gap {figures['gap']:.3f}, mean cosine of pairs {figures['cosine_of_pairs']:.3f}")
    return "\n".join(lines)
