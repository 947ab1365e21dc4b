"""Token reduction: fold neighbouring features into one by concatenating their channels (pixel shuffle, inverted).

Folding loses nothing: what was spread over r (or r x r) features of width D becomes one of width r D (or r^2 D).
Shapes: B batch, N features, D feature width, G grids, S side of a grid, r reduction.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def fold_sequence(features: Tensor, mask: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
    """Fold every r consecutive real features: [B, N, D], [B, N] -> [B, ceil(N / r), r D], [B, ceil(N / r)].

    The real features are first moved to the front, in order, so that padding before, between or behind them cannot
    change which of them fall together. Missing features of the last group are zero; a folded feature is real if any
    of its features is.
    """
    order = torch.argsort((~mask).to(torch.uint8), dim=1, stable=True)  # [B, N]
    features = features.gather(1, order[..., None].expand_as(features))
    mask = mask.gather(1, order)
    batch, num_features, width = features.shape
    padding = -num_features % reduction
    features = functional.pad(features.masked_fill(~mask[..., None], 0.0), (0, 0, 0, padding))
    mask = functional.pad(mask, (0, padding))
    groups = (num_features + padding) // reduction
    return features.reshape(batch, groups, reduction * width), mask.reshape(batch, groups, reduction).any(-1)


def fold_grids(features: Tensor, mask: Tensor, reduction: int, side: int) -> tuple[Tensor, Tensor]:
    """Fold every r x r neighbours of S x S grids: [B, G S^2, D] -> [B, G ceil(S / r)^2, r^2 D], and the mask alike.

    Features are row-major, grid after grid (the frames of a video). A side that r does not divide is filled up with
    masked rows and columns, and a last grid that is not whole with masked features. Channels are ordered by row, then
    column, of the folded r x r square. A folded feature is real if any of its features is; masked ones are zero.
    """
    batch, num_features, width = features.shape
    num_grids = math.ceil(num_features / side**2)
    padding = num_grids * side**2 - num_features
    features = functional.pad(features.masked_fill(~mask[..., None], 0.0), (0, 0, 0, padding))
    mask = functional.pad(mask, (0, padding))

    edge = -side % reduction
    features = features.reshape(batch, num_grids, side, side, width)
    features = functional.pad(features, (0, 0, 0, edge, 0, edge))
    mask = functional.pad(mask.reshape(batch, num_grids, side, side), (0, edge, 0, edge))

    folded = (side + edge) // reduction
    squares = (batch, num_grids, folded, reduction, folded, reduction)
    num_tokens = num_grids * folded**2
    features = features.reshape(*squares, width).transpose(3, 4).reshape(batch, num_tokens, reduction**2 * width)
    mask = mask.reshape(squares).transpose(3, 4).reshape(batch, num_tokens, reduction**2).any(-1)
    return features, mask


def square_side(num_features: int) -> int:
    """S of a grid of S x S = `num_features` features.

    Raises:
        ValueError: if `num_features` is not a square number.
    """
    side = math.isqrt(num_features)
    if side * side != num_features:
        raise ValueError(
            f"{num_features} features are not one square grid: drop the encoder's class token, give grid_size for "
            "several grids (the frames of a video), or use layout='sequence'"
        )
    return side
