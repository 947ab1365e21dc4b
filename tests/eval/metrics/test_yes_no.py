"""Yes or no: three ways of reading an answer, and the figures by hand and by scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from eval.metrics import binary, parse_yes_no, parse_yes_no_exact, parse_yes_no_pope


@pytest.mark.parametrize(
    ("text", "ours", "pope", "exact"),
    [
        ("yes", True, True, True),
        (" No\n", False, True, False),  # POPE splits at blanks only: its word is "No\n"
        ("No", False, False, False),
        ("NO", False, True, False),
        ("Yes.", True, True, None),
        ("**Yes**, there is no doubt", True, False, None),
        ("No, there isn't. Yes", False, False, None),
        ("The answer is yes", True, True, None),
        ("There is no dog", False, False, None),
        ("There is not", None, False, None),
        ("There is a dog.", None, True, None),
        ("I do know", None, True, None),
        ("Is it yes or no?", None, True, None),
        ("", None, True, None),
        ("ｙｅｓ", True, True, None),  # full-width letters
        ("yesterday", None, True, None),
    ],
)
def test_each_way_of_reading_an_answer(text: str, ours: bool | None, pope: bool, exact: bool | None) -> None:
    assert (parse_yes_no(text), parse_yes_no_pope(text), parse_yes_no_exact(text)) == (ours, pope, exact)


def test_the_figures_by_hand() -> None:
    said, right = np.array([True, True, True, False, False]), np.array([True, False, False, True, False])
    assert binary.precision(said, right) == pytest.approx(1 / 3)
    assert binary.recall(said, right) == pytest.approx(1 / 2)
    assert binary.f1(said, right) == pytest.approx(2 / 5)


def test_the_figures_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(1000):
        said, right = generator.random((2, generator.integers(1, 12))) < generator.random((2, 1))
        expected = sklearn_metrics.precision_recall_fscore_support(right, said, average="binary", zero_division=0)
        found = [figure(said, right) for figure in (binary.precision, binary.recall, binary.f1)]
        assert found == pytest.approx(list(expected[:3]))
