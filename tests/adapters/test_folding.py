"""Token reduction against sums worked out by hand: every feature is a number, so its place can be read off."""

import pytest
import torch
from torch import Tensor

from adapters import MLP
from adapters.folding import fold_grids, fold_sequence


def numbered(count: int) -> tuple[Tensor, Tensor]:
    """Features 1 .. count, of width 1, all real."""
    return torch.arange(1.0, count + 1).reshape(1, count, 1), torch.ones(1, count, dtype=torch.bool)


def test_a_sequence_folds_consecutive_features_and_fills_the_last_group_with_zeros() -> None:
    folded, mask = fold_sequence(*numbered(5), reduction=2)
    assert folded[0].tolist() == [[1, 2], [3, 4], [5, 0]]
    assert mask[0].tolist() == [True, True, True]


def test_masked_features_of_a_sequence_leave_no_gap() -> None:
    features, mask = numbered(6)
    mask[0, [0, 3, 5]] = False
    folded, folded_mask = fold_sequence(features, mask, reduction=2)
    assert folded[0].tolist() == [[2, 3], [5, 0], [0, 0]]
    assert folded_mask[0].tolist() == [True, True, False]


def test_a_grid_folds_squares_row_by_row() -> None:
    folded, mask = fold_grids(*numbered(16), reduction=2, side=4)
    assert folded[0].tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]
    assert mask.all()


def test_a_grid_whose_side_is_not_divisible_is_filled_at_its_lower_right() -> None:
    folded, mask = fold_grids(*numbered(9), reduction=2, side=3)
    assert folded[0].tolist() == [[1, 2, 4, 5], [3, 0, 6, 0], [7, 8, 0, 0], [9, 0, 0, 0]]
    assert mask.all()


def test_grids_of_several_frames_do_not_mix() -> None:
    features, mask = numbered(8)
    mask[0, 4:] = False
    mask[0, 1] = False
    folded, folded_mask = fold_grids(features, mask, reduction=2, side=2)
    assert folded[0].tolist() == [[1, 0, 3, 4], [0, 0, 0, 0]]
    assert folded_mask[0].tolist() == [True, False]


def test_wide_features_keep_their_channels_together() -> None:
    features = torch.arange(8.0).reshape(1, 4, 2)
    folded, _ = fold_grids(features, torch.ones(1, 4, dtype=torch.bool), reduction=2, side=2)
    assert folded[0].tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_mlp_makes_16_tokens_of_a_7_by_7_grid_folded_by_2() -> None:
    adapter = MLP(3, 5, reduction=2)
    tokens, mask = adapter(torch.randn(2, 49, 3))
    assert tokens.shape == (2, 16, 5)
    assert mask.all()
    assert adapter.num_tokens(49) == 16


def test_features_that_are_no_square_grid_are_an_error_with_ways_out() -> None:
    adapter = MLP(3, 5, reduction=2)
    with pytest.raises(ValueError, match="50 features are not one square grid: drop the encoder's class token"):
        adapter(torch.randn(1, 50, 3))
    with pytest.raises(ValueError, match="50 features"):
        adapter.num_tokens(50)
