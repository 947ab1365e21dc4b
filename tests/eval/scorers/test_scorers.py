"""The four scores of a choice, ties and ranks, by hand."""

import numpy as np
import pytest

from eval.scorers import get_scorer
from eval.scorers.choice import choice_scores, credit, expected_rank, softmax


def test_the_four_scores_of_a_candidate() -> None:
    scores = choice_scores(["ab", "é"], [-4.0, -3.0], [-5.0, -1.0], [2, 3])
    assert scores["sum"].tolist() == [-4.0, -3.0]
    assert scores["mean"].tolist() == [-2.0, -1.0]
    assert scores["bytes"].tolist() == [-2.0, -1.5]  # "é" is two bytes
    assert scores["pmi"].tolist() == [1.0, -2.0]


def test_pmi_needs_the_blank_prompt() -> None:
    assert "pmi" not in choice_scores(["a", "b"], [-1.0, -2.0], None, [1, 1])


def test_ties_share_the_credit_and_the_rank() -> None:
    scores = np.array([0.0, 0.0, -1.0, 0.0])
    assert credit(scores, 0) == pytest.approx(1 / 3)
    assert credit(scores, 2) == 0.0
    assert expected_rank(scores, 0) == 2.0
    assert expected_rank(scores, 2) == 4.0


def test_softmax_does_not_overflow() -> None:
    assert softmax(np.array([1000.0, 1000.0])).tolist() == [0.5, 0.5]


def test_an_unknown_scorer_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"choice-best-v9.*choice-pmi-v1"):
        get_scorer("choice-best-v9")
