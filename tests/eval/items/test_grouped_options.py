"""Options by groups: every answer has its own, all items of a group the same, and no distractor is likelier."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.items.grouped_options import grouped_options

NUM_SEEDS = 1500


@given(st.lists(st.sampled_from("abcdefghijklm"), min_size=2, max_size=40), st.integers(2, 6), st.integers(0, 1000))
def test_every_answer_has_distinct_options_with_itself_among_them(answers: list[str], number: int, seed: int) -> None:
    distinct = {*answers}
    found = grouped_options(answers, number, seed)
    assert found.keys() == distinct
    for answer, options in found.items():
        assert answer in options
        assert {*options} <= distinct
        assert len(options) == len({*options}) == min(number, len(distinct))
    assert len({*found.values()}) == math.ceil(len(distinct) / number)


def test_groups_depend_on_seed_and_answers_and_not_on_the_order_or_number_of_items() -> None:
    answers = list("abcdefgh")
    assert grouped_options(answers, 3, 1) == grouped_options(answers[::-1] + ["a"] * 9, 3, 1)
    assert len({tuple(sorted(grouped_options(answers, 3, seed).items())) for seed in range(20)}) > 15


@pytest.mark.parametrize(("number", "size"), [(6, 3), (5, 3), (7, 2)])  # full groups, a short one, one of one answer
def test_any_two_answers_meet_as_often_as_if_distractors_were_drawn(number: int, size: int) -> None:
    answers = list("abcdefg"[:number])
    met = Counter()
    for seed in range(NUM_SEEDS):
        for answer, options in grouped_options(answers, size, seed).items():
            met.update((answer, other) for other in options if other != answer)
    expected = (size - 1) / (number - 1)
    spread = math.sqrt(expected * (1 - expected) / NUM_SEEDS)
    for pair in [(one, other) for one in answers for other in answers if one != other]:
        assert met[pair] / NUM_SEEDS == pytest.approx(expected, abs=5 * spread), pair


def test_a_group_that_is_short_is_completed_for_all_its_items_alike() -> None:
    found = grouped_options(list("abcde"), 3, 0)
    sizes = Counter(found.values())
    assert sorted(sizes.values()) == [2, 3]
    assert all(len(options) == 3 for options in sizes)
