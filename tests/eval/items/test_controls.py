"""The shuffled control never shows the right media, and clusters are found through shared keys."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.items.clusters import connected
from eval.items.controls import derangement, derangement_within


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 1000))
def test_derangement_shows_another_answer_and_is_a_permutation_where_one_exists(answers: list[int], seed: int) -> None:
    result = derangement(answers, seed)
    if len(set(answers)) == 1:
        assert result is None
        return
    assert result is not None
    assert all(answers[source] != answers[index] for index, source in enumerate(result))
    if 2 * max(answers.count(answer) for answer in answers) <= len(answers):
        assert sorted(result) == list(range(len(answers)))


def test_derangement_depends_on_the_seed_only() -> None:
    answers = list("abcdefgh")
    assert derangement(answers, 1) == derangement(answers, 1)
    assert len({tuple(derangement(answers, seed) or ()) for seed in range(20)}) > 10


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=40), st.integers(0, 1000))
def test_media_are_exchanged_within_a_group_wherever_it_has_another_answer(
    drawn: list[tuple[int, int]], seed: int
) -> None:
    answers, groups = [answer for answer, _ in drawn], [group for _, group in drawn]
    result = derangement_within(answers, groups, seed)
    if len({*answers}) == 1:
        assert result is None
        return
    assert result is not None
    for index, source in enumerate(result):
        assert answers[source] != answers[index]
        members = [other for other, group in enumerate(groups) if group == groups[index]]
        if len({answers[other] for other in members}) > 1:
            assert groups[source] == groups[index]
            if 2 * max(Counter(answers[other] for other in members).values()) <= len(members):
                assert sorted(result[other] for other in members) == members


@pytest.mark.parametrize(
    ("keys", "clusters"),
    [
        ([["a"], ["b"], ["c"]], 3),
        ([["a", "x"], ["b", "x"], ["c"]], 2),
        # the first and third share nothing, but both share something with the second
        ([["a"], ["a", "b"], ["b"]], 1),
    ],
)
def test_items_that_share_a_key_are_in_one_cluster(keys: list[list[str]], clusters: int) -> None:
    assert len(set(connected(keys))) == clusters
