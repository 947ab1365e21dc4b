"""Of candidates that are asked about one by one, the one for which yes is likeliest is the answer."""

from collections.abc import Sequence

import pytest

from eval.items.item import Item
from eval.scorers import SCORERS, ChoiceAnswer

SCORER = SCORERS["likeliest-yes-v1"]


def answer(name: str, group: str, right: bool, *yes: float) -> ChoiceAnswer:
    item = Item(name, (), "Is it correct?", "", 0, options=("No", "Yes"), right=int(right), group=group)
    # "No" is likelier than "Yes" for all: only the order of the candidates matters
    return ChoiceAnswer(item, [[-0.1, one] for one in yes], [0.0, 0.0], [1, 1])


def accuracy(answers: Sequence[ChoiceAnswer]) -> float:
    return SCORER.score(answers, condition="own", seed=0).estimates["accuracy"].value


def test_the_candidate_with_the_likeliest_yes_is_the_answer() -> None:
    first = [answer("a", "m1", False, -3.0), answer("b", "m1", True, -2.0), answer("c", "m1", False, -4.0)]
    second = [answer("d", "m2", True, -5.0), answer("e", "m2", False, -4.0)]
    assert (accuracy(first), accuracy(second), accuracy(first + second)) == (1, 0, 0.5)
    found = SCORER.score(first + second, condition="own", seed=0)
    assert [item.value for item in found.items] == [1, 1, 1, 0, 0]
    assert SCORER.chance([one.item for one in first + second]) == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_ties_are_shared_and_shuffles_averaged() -> None:
    assert accuracy([answer("a", "m", True, -2.0), answer("b", "m", False, -2.0)]) == 0.5
    assert accuracy([answer("a", "m", True, -2.0, -4.0), answer("b", "m", False, -3.0, -3.0)]) == 0.5


def test_a_matrix_without_its_right_candidate_is_refused_and_never_right() -> None:
    wrong = [answer("a", "m", False, -2.0), answer("b", "m", False, -3.0)]
    assert accuracy(wrong) == 0
    with pytest.raises(ValueError, match="group 'm' has 2 candidates of which 0 are right"):
        SCORER.chance([one.item for one in wrong])
    with pytest.raises(ValueError, match="has no group"):
        SCORER.chance([Item("x", (), "?", "", 0, options=("No", "Yes"))])
    with pytest.raises(ValueError, match="item 'x' needs one option that says yes"):
        SCORER.chance([Item("x", (), "?", "", 0, options=("a", "b"), group="m")])
