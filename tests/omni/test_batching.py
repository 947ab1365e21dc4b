"""Padded and packed inputs: what is computed where, and what is never a target."""

import torch

from omni.batching import EmbeddedExample, Example, LLMInputs, pack, pad

FIRST = EmbeddedExample(torch.full((3, 2), 1.0), torch.tensor([7, -100, 8]))
SECOND = EmbeddedExample(torch.full((2, 2), 2.0), torch.tensor([5, 6]))


def test_padding_counts_positions_of_real_tokens_on_either_side() -> None:
    left, right = pad([FIRST, SECOND], "left"), pad([FIRST, SECOND], "right")
    assert left.attention_mask is not None
    assert right.attention_mask is not None
    assert left.attention_mask.tolist() == [[1, 1, 1], [0, 1, 1]]
    assert right.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert left.position_ids[1, 1:].tolist() == right.position_ids[1, :2].tolist() == [0, 1]
    assert left.inputs_embeds[1, 0].tolist() == [0.0, 0.0]


def test_a_pack_restarts_positions_and_has_no_mask() -> None:
    packed = pack([FIRST, SECOND])
    assert packed.attention_mask is None
    assert packed.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert packed.inputs_embeds[0, :, 0].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]


def test_the_first_token_of_a_sample_is_never_a_target() -> None:
    for inputs in (pad([FIRST, SECOND], "left"), pad([FIRST, SECOND], "right"), pack([FIRST, SECOND])):
        keep, targets = inputs.shifted()
        assert targets.tolist() == [8, 6]
        assert int(keep.sum()) == 2
    assert FIRST.labels.tolist() == [7, -100, 8]


def test_logits_are_asked_for_one_before_each_target() -> None:
    labels = torch.tensor([[-100, 4, -100, 9]])
    keep, targets = LLMInputs(torch.zeros(1, 4, 2), labels, None, torch.arange(4)[None]).shifted()
    assert keep.tolist() == [[True, False, True, False]]
    assert targets.tolist() == [4, 9]


def test_answer_tokens_are_those_with_labels() -> None:
    assert Example("x", torch.tensor([1, 2, 3]), torch.tensor([-100, 2, 3])).num_answer_tokens == 2
