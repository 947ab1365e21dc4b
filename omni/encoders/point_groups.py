"""Group neighbouring points: farthest-point sampling and nearest neighbours, for a batch of clouds at once.

Shapes: B clouds, P points of a cloud, G groups, K points of a group.
"""

import torch
from torch import Tensor


def farthest_points(points: Tensor, num_chosen: int, start: Tensor) -> Tensor:
    """Return indices [B, num_chosen] of points that are spread out: each is the farthest from all chosen before it
    (Eldar et al. 1997, The farthest point strategy for progressive image sampling).

    Args:
        points: [B, P, 3].
        start: index of the first chosen point of each cloud, [B].

    Raises:
        ValueError: a cloud has fewer points than are to be chosen.
    """
    if not 1 <= num_chosen <= points.shape[1]:
        raise ValueError(f"cannot choose {num_chosen} of {points.shape[1]} points")
    rows = torch.arange(len(points), device=points.device)
    chosen = torch.empty(len(points), num_chosen, dtype=torch.long, device=points.device)
    nearest = torch.full(points.shape[:2], torch.inf, dtype=points.dtype, device=points.device)
    current = start
    for index in range(num_chosen):
        chosen[:, index] = current
        offsets = points - points[rows, current][:, None]
        nearest = torch.minimum(nearest, offsets.square().sum(dim=-1))
        current = nearest.argmax(dim=1)
    return chosen


def nearest_neighbours(points: Tensor, centres: Tensor, num_neighbours: int) -> Tensor:
    """Return the K nearest of the points [B, P, 3] to each centre [B, G, 3], relative to it: [B, G, K, 3]."""
    # By differences, since the shortcut through products loses the small distances that decide.
    distances = torch.cdist(centres, points, compute_mode="donot_use_mm_for_euclid_dist")
    neighbours = distances.topk(num_neighbours, dim=-1, largest=False, sorted=False).indices
    rows = torch.arange(len(points), device=points.device)[:, None, None]
    return points[rows, neighbours] - centres[:, :, None]
