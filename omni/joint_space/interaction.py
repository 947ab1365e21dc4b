"""How two items of a joint space are compared: by one embedding each, or feature by feature (late interaction).

An item is a set of embeddings [N, D]: one where items are pooled, and one for every real feature in a space that was
trained by late interaction. The similarity of two sets is the mean, over the first one's embeddings, of the product
with the nearest of the second's, so that for sets of one it is their product (FILIP, Yao et al. 2021,
arXiv 2111.07783, equation 4).
Shapes: A and B items, N and M embeddings of an item, D width of the space.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.encoders.base import Features
from omni.joint_space.modality import SpaceModality
from omni.losses.contrastive import late_interaction

POOLED, LATE = "pooled", "late"
INTERACTIONS = (POOLED, LATE)
_MOST_TARGETS = 64  # sets that are compared with others at once, which bounds the memory


def feature_sets(modality: SpaceModality, features: Sequence[Features], device: torch.device) -> list[Tensor]:
    """Return a unit embedding of every real feature of each item: features [C, N, F], [C, N] -> [N, D] each."""
    values, mask = modality.embed_tokens(features, device)
    return [F.normalize(one[real], dim=-1) for one, real in zip(values, mask, strict=True)]


def set_similarity(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Compare each of A items with each of B others: sets [N, D] and [M, D] -> [A, B].

    Raises:
        ValueError: there are none on one side.
    """
    if not first or not second:
        raise ValueError(f"similarity needs items on both sides, got {len(first)} and {len(second)}")
    if all(len(one) == 1 for one in (*first, *second)):
        return torch.cat([*first]) @ torch.cat([*second]).T
    rows, row_mask = _padded(first)
    found = []
    for start in range(0, len(second), _MOST_TARGETS):
        targets, target_mask = _padded(second[start : start + _MOST_TARGETS])
        found.append(late_interaction(rows, row_mask, targets, target_mask))
    return torch.cat(found, 1)


def joined(sets: Sequence[Tensor]) -> Tensor:
    """Return one set for several items that stand for one thing together, such as a picture and its sound.

    Items of one embedding each are added as unit vectors (embedding arithmetic, Girdhar et al. 2023); of others the
    embeddings of all are one set.
    """
    if len(sets) == 1:
        return sets[0]
    if all(len(one) == 1 for one in sets):
        return F.normalize(F.normalize(torch.cat([*sets]), dim=-1).sum(0, keepdim=True), dim=-1)
    return torch.cat([*sets])


def _padded(sets: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    values = pad_sequence([*sets], batch_first=True)
    lengths = torch.tensor([len(one) for one in sets], device=values.device)
    return values, torch.arange(values.shape[1], device=values.device)[None] < lengths[:, None]
