"""Shares of the training labels, and nearest neighbours by label."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.metrics.classification import average_precision


def stratified(labels: Sequence[str], share: float, seed: int) -> list[int]:
    """Return the indices of a share of the items, the same share of each label, rounded, but one item at least.

    A smaller share is a part of a larger one.
    """
    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    chosen: list[int] = []
    for label, members in sorted(groups.items()):
        order = members[:]
        random.Random(f"{seed} {label}").shuffle(order)
        chosen += order[: max(1, round(share * len(order)))]
    return sorted(chosen)


def neighbours(
    pooled: Mapping[str, Tensor], labels: Sequence[str], clusters: Sequence[int]
) -> tuple[list[int], list[float], list[float], float]:
    """Find each item by all others, nearest first by cosine, those of its own cluster left out.

    Args:
        pooled: modality -> mean features [B, D]; of several, the cosines are added.
        labels: the label of each item.
        clusters: the cluster of each item.

    Returns:
        The indices of the items for which another cluster has their label; for each of these the average precision, and
        whether the nearest has its label; and what guessing gives for the latter.
    """
    units = [F.normalize(values, dim=-1) for values in pooled.values()]
    cosine = torch.stack([one @ one.T for one in units]).sum(0).numpy()
    same_label = np.array(labels)[:, None] == np.array(labels)[None]
    others = np.array(clusters)[:, None] != np.array(clusters)[None]
    kept, precisions, firsts, chances = [], [], [], []
    for index in range(len(labels)):
        allowed = others[index]
        right = same_label[index][allowed]
        if not right.any():
            continue
        scores = cosine[index][allowed]
        kept.append(index)
        precisions.append(average_precision(scores, right))
        best = np.isclose(scores, scores.max(), rtol=0, atol=1e-9)
        firsts.append(float(right[best].mean()))
        chances.append(float(right.mean()))
    return kept, precisions, firsts, float(np.mean(chances)) if chances else 0.0
