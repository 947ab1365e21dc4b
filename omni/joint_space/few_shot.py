"""Few-shot classification in a joint space: a linear classifier whose shots come from any modalities.

A picture, a sound and the class's name are all points of one space, so all of them are training examples of one
classifier (cross-modal adaptation, Lin et al. 2023, arXiv 2301.06267).
Shapes: S shots, B items, D width of the space, L labels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from omni.joint_space.space import JointSpace

_MOST_ITERATIONS = 200


class FewShotClassifier:
    """A linear classifier over unit embeddings; `fit` makes one."""

    def __init__(self, space: JointSpace, labels: Sequence[str], weight: Tensor, bias: Tensor) -> None:
        """weight [L, D], bias [L]"""
        self.space = space
        self.labels = list(labels)
        self.weight = weight
        self.bias = bias

    @classmethod
    def fit(
        cls,
        space: JointSpace,
        shots: Mapping[str, Any],
        *,
        class_names: bool = True,
        templates: Sequence[str] | None = None,
        regularization: float = 0.1,
    ) -> "FewShotClassifier":
        """Fit to shots: label -> `{modality: items}`, or whatever else `JointSpace.embed_query` takes.

        Args:
            class_names: the name of each class is one more shot of it, and the classifier begins with the names; the
                space needs the modality `text`.
            templates: texts with `{}` where the name goes.
            regularization: pull towards where it begins, per shot; the larger, the nearer to zero-shot.

        Raises:
            ValueError: fewer than two labels, or one without any shot where names are not used.
        """
        labels = list(shots)
        if len(labels) < 2:
            raise ValueError(f"a classifier needs at least two labels, got {labels}")
        if not regularization >= 0:
            raise ValueError(f"regularization must be at least 0, not {regularization}")
        rows, targets = [], []
        for number, label in enumerate(labels):
            found = space.embed_query(shots[label]) if _has_any(shots[label]) else torch.zeros(0, space.dim)
            if len(found) == 0 and not class_names:
                raise ValueError(f"label {label!r} has no shot; give one, or set class_names=True")
            rows.append(found.to(space.device))
            targets += [number] * len(found)
        start = torch.zeros(len(labels), space.dim, device=space.device)
        if class_names:
            names = space.embed_labels(labels, templates)
            rows.append(names)
            targets += [*range(len(labels))]
            start = names * space.label_scale()
        embeddings = torch.cat(rows)
        weight, bias = _fit(embeddings, torch.tensor(targets, device=space.device), start, regularization)
        return cls(space, labels, weight, bias)

    def classify(self, media: Any) -> Tensor:
        """Probabilities [B, L] of the labels; `media` is what `JointSpace.embed_query` takes."""
        return (self.space.embed_query(media) @ self.weight.T + self.bias).softmax(-1)


def _has_any(shots: Any) -> bool:
    if isinstance(shots, Mapping):
        return any(len(items) > 0 for items in shots.values())
    return isinstance(shots, str) or not isinstance(shots, Sequence) or len(shots) > 0


def _fit(embeddings: Tensor, targets: Tensor, start: Tensor, regularization: float) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by L-BFGS, pulled towards `start` [L, D]."""
    # Each class counts the same, however many shots it has.
    counts = targets.bincount(minlength=len(start)).clamp(min=1)
    class_weights = len(targets) / (len(start) * counts.float())
    with torch.enable_grad():
        change = torch.zeros_like(start, requires_grad=True)
        bias = torch.zeros(len(start), device=start.device, requires_grad=True)
        optimizer = torch.optim.LBFGS([change, bias], max_iter=_MOST_ITERATIONS, line_search_fn="strong_wolfe")

        def closure() -> float:
            optimizer.zero_grad()
            loss = F.cross_entropy(embeddings @ (start + change).T + bias, targets, class_weights)
            loss = loss + regularization * (change.square().sum() + bias.square().sum()) / len(targets)
            loss.backward()
            return float(loss.detach())

        optimizer.step(closure)
    return (start + change).detach(), bias.detach()
