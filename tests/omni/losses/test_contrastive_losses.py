"""Contrastive losses against their formulas, written out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from omni.losses import CWCL, FILIP, InfoNCE, SigmoidLoss, Symile
from omni.losses.contrastive import late_interaction

B, D = 5, 6
SCALE = torch.tensor(7.0)
SAME = torch.eye(B, dtype=torch.bool)


def unit(seed: int, *shape: int) -> Tensor:
    values = torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(values, dim=-1)


def test_info_nce_is_the_mean_negative_log_share_of_the_partner_in_both_directions() -> None:
    first, second = unit(0, B), unit(1, B)
    total = 0.0
    for i in range(B):
        forth = [math.exp(7 * float(first[i] @ second[j])) for j in range(B)]
        back = [math.exp(7 * float(first[j] @ second[i])) for j in range(B)]
        total -= (math.log(forth[i] / sum(forth)) + math.log(back[i] / sum(back))) / 2
    assert float(InfoNCE()(first, second, SAME, SCALE)) == pytest.approx(total / B, abs=1e-9)


def test_rows_that_mean_the_same_share_the_probability() -> None:
    first, second = unit(0, B), unit(1, B)
    same = SAME.clone()
    same[0, 1] = same[1, 0] = True
    log_shares = (7 * first @ second.T).log_softmax(1)
    forth = -(log_shares[0, :2].mean() + log_shares[1, :2].mean() + log_shares.diagonal()[2:].sum()) / B
    log_shares = (7 * second @ first.T).log_softmax(1)
    back = -(log_shares[0, :2].mean() + log_shares[1, :2].mean() + log_shares.diagonal()[2:].sum()) / B
    torch.testing.assert_close(InfoNCE()(first, second, same, SCALE), (forth + back) / 2)


def test_sigmoid_is_the_sum_over_all_pairs_by_themselves() -> None:
    first, second = unit(0, B), unit(1, B)
    expected = 0.0
    for i in range(B):
        for j in range(B):
            logit = 7 * float(first[i] @ second[j]) - 10
            expected -= math.log(1 / (1 + math.exp(-(logit if i == j else -logit)))) / B
    loss = SigmoidLoss(bias=-10)
    assert float(loss(first, second, SAME, SCALE)) == pytest.approx(expected, abs=1e-6)
    assert [name for name, _ in loss.named_parameters()] == ["bias"]


def test_cwcl_weighs_partners_by_similarity_in_the_frozen_space_which_gets_no_gradient_from_the_weights() -> None:
    first, second = unit(0, B), unit(1, B)
    logits = 7 * first @ second.T
    weights = (first @ first.T) / 2 + 0.5
    forth = -((logits.log_softmax(1) * weights).sum(1) / weights.sum(1)).mean()
    back = F.cross_entropy(logits.T, torch.arange(B))
    torch.testing.assert_close(CWCL()(first, second, SAME, SCALE), (forth + back) / 2)


def test_filip_takes_the_mean_over_real_features_of_the_nearest_real_one() -> None:
    first, second = unit(0, 3, 4), unit(1, 2, 5)
    first_mask, second_mask = torch.ones(3, 4, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    first_mask[1, 2:] = False
    second_mask[0, 1:] = False
    found = late_interaction(first, first_mask, second, second_mask)
    for i in range(3):
        for j in range(2):
            ours, theirs = first[i][first_mask[i]], second[j][second_mask[j]]
            torch.testing.assert_close(found[i, j], (ours @ theirs.T).max(1).values.mean())
    one = unit(2, B, 1), unit(3, B, 1)
    torch.testing.assert_close(FILIP()(*one, SAME, SCALE), InfoNCE()(one[0][:, 0], one[1][:, 0], SAME, SCALE))


def test_filip_takes_an_item_without_real_features_for_one_that_is_like_nothing() -> None:
    first, second = unit(0, B, 3).requires_grad_(), unit(1, B, 4).requires_grad_()
    masks = torch.ones(B, 3, dtype=torch.bool), torch.ones(B, 4, dtype=torch.bool)
    for mask in masks:
        mask[2] = False
    found = late_interaction(first, masks[0], second, masks[1])
    assert not found[2].any()
    assert not found[:, 2].any()
    loss = FILIP()(first, second, SAME, SCALE, *masks)
    loss.backward()
    assert loss.isfinite()
    assert first.grad is not None
    assert first.grad.isfinite().all()
    assert first.grad[0].any()


def test_symile_of_two_is_info_nce_and_of_three_has_the_product_with_other_rows_as_negatives() -> None:
    first, second, third = unit(0, B), unit(1, B), unit(2, B)
    torch.testing.assert_close(Symile()([first, second], SAME, SCALE), InfoNCE()(first, second, SAME, SCALE))
    torch.manual_seed(0)
    found = Symile()([first, second, third], SAME, SCALE)
    torch.manual_seed(0)
    expected = 0.0
    for anchor, *others in ((first, second, third), (second, first, third), (third, first, second)):
        order = torch.randperm(B)
        for i in range(B):
            positive = float((anchor[i] * others[0][i] * others[1][i]).sum())
            terms = [
                positive if i == j else float((anchor[i] * others[0][j] * others[1][order[j]]).sum()) for j in range(B)
            ]
            shares = [math.exp(7 * math.sqrt(D) * term) for term in terms]
            expected -= math.log(shares[i] / sum(shares)) / B / 3
    assert float(found) == pytest.approx(expected, abs=1e-5)
