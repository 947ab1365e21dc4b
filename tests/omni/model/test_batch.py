"""Padded and packed inputs: what is computed where, and what is never a target."""

import torch

from omni.model.batch import EmbeddedExample, Example, extent, pack, pad

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
        keep, targets = inputs.counted()
        assert targets.tolist() == [8, 6]
        assert int(keep.sum()) == 2
    assert FIRST.labels.tolist() == [7, -100, 8]


def test_logits_are_asked_for_one_before_each_target() -> None:
    for inputs in (pad([row := EmbeddedExample(torch.zeros(4, 2), torch.tensor([-100, 4, -100, 9]))]), pack([row])):
        keep, targets = inputs.counted()
        assert keep.tolist() == [[True, False, True, False]]
        assert targets.tolist() == [4, 9]


def example(values: float, ids: list[int], labels: list[int]) -> EmbeddedExample:
    """As `OmniModel.interleave` makes one of a text: embeddings count up from `values`."""
    made = Example("x", torch.tensor(ids), torch.tensor(labels))
    return EmbeddedExample(values + torch.arange(len(ids))[:, None].float(), made.labels, (), *extent(made, [], []))


def test_what_all_samples_begin_with_stands_once_and_what_predicts_nothing_is_left_out() -> None:
    first = example(0.0, [1, 2, 3, 4, 5, 6], [-100, -100, -100, -100, 5, 6])
    second = example(10.0, [1, 2, 9, 8, 7], [-100, -100, -100, 8, -100])
    packed = pack([first, second], share=True)
    assert packed.shared == 2
    assert packed.lengths == (3, 1)
    assert packed.inputs_embeds[0, :, 0].tolist() == [0, 1, 2, 3, 4, 12]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 4, 2]]
    assert packed.targets.tolist() == [[-100, -100, -100, 5, 6, 8]]
    assert packed.owners().tolist() == [[0, 0, 0, 0, 0, 1]]
    assert pack([first, second]).lengths == (5, 3)
    assert pack([first], share=True).shared == 0


def test_a_token_that_predicts_an_answer_is_not_shared() -> None:
    both = [example(0.0, [1, 2, 3], [-100, -100, 3]), example(5.0, [1, 2, 3], [-100, -100, 3])]
    packed = pack(both, share=True)
    assert (packed.shared, packed.lengths) == (1, (1, 1))
    assert packed.targets.tolist() == [[-100, 3, 3]]


def test_media_behind_the_slots_move_what_is_needed() -> None:
    ids, labels = torch.tensor([1, 2, -200, 3, 4, 5]), torch.tensor([-100, -100, -100, -100, 4, -100])
    assert extent(Example("x", ids, labels), [2], [10]) == ((1, 2), 4 + 9)
    assert extent(Example("x", ids, labels), [2], [0]) == ((1, 2), 4 - 1)
    assert extent(Example("x", ids, torch.full((6,), -100)), [2], [10]) == ((1, 2), None)


def test_answer_tokens_are_those_with_labels() -> None:
    assert Example("x", torch.tensor([1, 2, 3]), torch.tensor([-100, 2, 3])).num_answer_tokens == 2
