"""Contrastive losses over a whole batch; a recipe names one by class path.

All take unit embeddings and return a scalar, the mean over the rows. Rows for which `same` is True mean the same (two
pictures with one caption), so neither counts as a negative for the other.
Shapes: B rows, D width, N and M features of an item.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FILIP_ROWS = 16  # rows that are compared with all others at once, which bounds the memory


class PairLoss(nn.Module):
    """A loss over pairs of items of two modalities, the anchor's first."""

    uses_tokens = False  # whether items are sets of embeddings [B, N, D] with a mask

    def forward(self, first: Tensor, second: Tensor, same: Tensor, logit_scale: Tensor) -> Tensor:
        """Return the loss of unit embeddings [B, D], same [B, B] (bool, True on the diagonal) and their scale."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward")


class SetLoss(nn.Module):
    """A loss over items of any number of modalities at once."""

    def forward(self, embeddings: Sequence[Tensor], same: Tensor, logit_scale: Tensor) -> Tensor:
        """Return the loss of unit embeddings [B, D] of each modality, same [B, B] (bool) and the scale of products."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward")


class InfoNCE(PairLoss):
    """Cross-entropy of finding the partner among all rows, in both directions (van den Oord et al. 2018, arXiv
    1807.03748; with both directions as in CLIP, Radford et al. 2021). Several right partners share the probability."""

    def forward(self, first: Tensor, second: Tensor, same: Tensor, logit_scale: Tensor) -> Tensor:
        logits = logit_scale * first @ second.T
        return (_cross_entropy(logits, same) + _cross_entropy(logits.T, same)) / 2


class SigmoidLoss(PairLoss):
    """Each pair by itself: does it belong together? (SigLIP, Zhai et al. 2023, arXiv 2303.15343, algorithm 1)

    bias: the first value of the learned bias, negative because most pairs do not belong together.
    """

    def __init__(self, bias: float = -10.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self, first: Tensor, second: Tensor, same: Tensor, logit_scale: Tensor) -> Tensor:
        logits = logit_scale * first @ second.T + self.bias
        return -F.logsigmoid(torch.where(same, logits, -logits)).sum() / len(first)


class CWCL(PairLoss):
    """Continuously weighted contrastive loss (Srinivasa et al. 2023, arXiv 2309.14580, equation 4).

    The similarity of two rows in the anchor's own, frozen space says how much each counts as a positive for the other;
    the other direction is InfoNCE."""

    def forward(self, first: Tensor, second: Tensor, same: Tensor, logit_scale: Tensor) -> Tensor:
        logits = logit_scale * first @ second.T
        anchor = first.detach()
        weights = (anchor @ anchor.T) / 2 + 0.5
        weighted = -(logits.log_softmax(1) * weights).sum(1) / weights.sum(1)
        return (weighted.mean() + _cross_entropy(logits.T, same)) / 2


class FILIP(PairLoss):
    """Late interaction: each feature of one item looks for its nearest feature of the other (Yao et al. 2021, arXiv
    2111.07783, equations 4 and 5), then InfoNCE. Items are sets of unit embeddings with a mask."""

    uses_tokens = True

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        same: Tensor,
        logit_scale: Tensor,
        first_mask: Tensor | None = None,
        second_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of first [B, N, D] and second [B, M, D], with masks [B, N] and [B, M] (default: all real)."""
        first_mask = first.new_ones(first.shape[:2], dtype=torch.bool) if first_mask is None else first_mask
        second_mask = second.new_ones(second.shape[:2], dtype=torch.bool) if second_mask is None else second_mask
        forth = late_interaction(first, first_mask, second, second_mask)
        back = late_interaction(second, second_mask, first, first_mask)
        return (_cross_entropy(logit_scale * forth, same) + _cross_entropy(logit_scale * back, same)) / 2


class Symile(SetLoss):
    """The multilinear inner product of all modalities at once, with those of other rows as negatives (Saporta et al.
    2024, arXiv 2411.01053); for two modalities it is InfoNCE.

    Each modality in turn is kept while the others come from other rows, each drawn by itself. The product is scaled
    by D^((M - 2) / 2) for M modalities, so that one temperature suits every M; the paper leaves that to the
    temperature.
    """

    def forward(self, embeddings: Sequence[Tensor], same: Tensor, logit_scale: Tensor) -> Tensor:
        rows, dim = embeddings[0].shape
        scale = logit_scale * math.sqrt(dim) ** (len(embeddings) - 2)
        positive = torch.stack([*embeddings]).prod(0).sum(-1)
        total = positive.new_zeros(())
        for index, anchor in enumerate(embeddings):
            others = [other for number, other in enumerate(embeddings) if number != index]
            orders = [torch.arange(rows)] + [torch.randperm(rows) for _ in others[1:]]
            negatives = torch.stack([other[order] for other, order in zip(others, orders, strict=True)]).prod(0)
            logits = scale * anchor @ negatives.T
            logits = torch.where(torch.eye(rows, dtype=torch.bool, device=logits.device), scale * positive, logits)
            # a candidate does not count as a negative if each of its parts means the same as the row's own
            equal = torch.stack([same[:, order.to(same.device)] for order in orders]).all(0)
            equal.fill_diagonal_(False)
            logits = logits.masked_fill(equal, float("-inf"))
            total = total + F.cross_entropy(logits, torch.arange(rows, device=logits.device))
        return total / len(embeddings)


def late_interaction(first: Tensor, first_mask: Tensor, second: Tensor, second_mask: Tensor) -> Tensor:
    """Compare each item with each: [A, N, D], [A, N], [B, M, D], [B, M] -> [A, B].

    A similarity is the mean, over the first item's features, of the cosine to the second's nearest feature; it is 0
    where either item has no real feature."""
    found = []
    for start in range(0, len(first), _FILIP_ROWS):
        rows, mask = first[start : start + _FILIP_ROWS], first_mask[start : start + _FILIP_ROWS]
        similarity = torch.einsum("and,bmd->abnm", rows, second)
        nearest = similarity.masked_fill(~second_mask[None, :, None], float("-inf")).amax(-1)
        nearest = nearest.masked_fill(~second_mask.any(1)[None, :, None], 0)
        real = mask[:, None].to(nearest.dtype)
        found.append((nearest * real).sum(-1) / real.sum(-1).clamp(min=1))
    return torch.cat(found)


def _cross_entropy(logits: Tensor, same: Tensor) -> Tensor:
    """Return the mean over the rows of logits [B, B]; the right columns of a row share its probability evenly."""
    return F.cross_entropy(logits, same.to(logits.dtype) / same.sum(1, keepdim=True))
