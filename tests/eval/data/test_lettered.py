"""Rows of multiple-choice questions: options in all their spellings, and the right one among them."""

from typing import Any

import pytest

from eval.data.labels import class_name
from eval.data.lettered import choice_row, plain_options, shuffled


@pytest.mark.parametrize(
    "given",
    [
        ["a frog", "a toad"],
        '["a frog", "a toad"]',
        "['a frog', 'a toad']",
        ["A. a frog", "B. a toad"],
        ["(A) a frog", "(B) a toad"],
        ["a) a frog", "b) a toad"],
    ],
)
def test_options_lose_their_letters_and_their_spelling_as_a_text(given: Any) -> None:
    assert plain_options(given) == ["a frog", "a toad"]


@pytest.mark.parametrize("given", [["A. frog", "C. toad"], ["A. frog", "toad"], ["I. Allegro", "V. Largo"]])
def test_letters_that_are_no_letters_of_options_stay(given: list[str]) -> None:
    assert plain_options(given) == given


@pytest.mark.parametrize("right", ["a toad", "A toad.", "(B) a toad", "B", "(b)", "B."])
def test_the_right_option_is_named_by_text_or_letter(right: str) -> None:
    row = choice_row(7, [], "Which?", ["a frog", "a toad"], right)
    assert row["meta"] == {"options": ["a frog", "a toad"], "answer": "a toad"}


def test_a_text_that_is_a_letter_is_the_option_of_that_text() -> None:
    assert choice_row(7, [], "Which key?", ["B", "A"], "A")["meta"]["answer"] == "A"


@pytest.mark.parametrize(
    ("options", "right", "reason"),
    [
        (["a frog", "a toad"], "a newt", "the right answer 'a newt' is none of the options"),
        (["a frog", "a toad"], "C", "the right answer 'C' is none of the options"),
        (["a frog"], "a frog", "must be a list of at least two texts"),
    ],
)
def test_a_wrong_right_answer_is_named(options: list[str], right: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        choice_row(7, [], "Which?", options, right)


@pytest.mark.parametrize("given", ["a frog", 3, ["a frog", None], ["a frog", " "]])
def test_what_is_no_list_of_options_is_named(given: Any) -> None:
    with pytest.raises(ValueError, match=r"option|expected a list"):
        plain_options(given)


def test_options_are_shuffled_by_the_item_alone() -> None:
    orders = {tuple(shuffled(["a", "b", "c", "d"], number)) for number in range(100)}
    assert len(orders) > 15
    assert shuffled(["a", "b", "c", "d"], 5) == shuffled(["a", "b", "c", "d"], 5)


def test_an_answer_that_is_not_public_is_left_out() -> None:
    assert choice_row(7, [], "Which?", ["a", "b"], None)["meta"] == {"options": ["a", "b"]}


def test_classes_go_by_number_or_by_any_spelling_of_their_name() -> None:
    names = ("dining_room", "kitchen")
    assert [class_name(value, names) for value in (0, "0", "Dining Room", "dining_room")] == ["dining room"] * 4
    for value in (2, -1, "cellar", True):
        with pytest.raises(ValueError, match="there is no class"):
            class_name(value, names)
