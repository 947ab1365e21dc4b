"""MMMU's figure over multiple-choice and open questions; the open ones are read as by the authors' own code."""

import pytest

from eval.items.item import Item
from eval.metrics import mmmu_open_is_right
from eval.scorers import SCORERS, WrittenAnswer


@pytest.mark.parametrize(
    ("text", "references", "right"),
    [
        # made with `parse_open_response` and `eval_open` of MMMU, eval/eval_utils.py
        ("The answer is 3.14159.", ["3.14"], True),
        ("1,000", ["1000"], True),
        ("x = 5\ny = 6", ["5"], False),  # an equals sign counts in the last line only
        ("x = 5\ny = 6", ["6"], True),
        ("It is unknown.", ["no"], True),  # within a word
        ("Therefore it could be a frog", ["Frog", "toad"], True),
        ("A", ["A"], True),
        ("Aha", ["A"], False),
        ("the result is a b", ["b"], True),
        ("", ["x"], False),
        (", is =", ["is"], True),
        ("so 53.14yes,= ", ["so"], True),
        ("2e3", ["2,000"], True),
    ],
)
def test_open_answers_are_read_as_mmmu_reads_them(text: str, references: list[str], right: bool) -> None:
    assert mmmu_open_is_right(text, references) is right


def answers(*texts: str) -> list[WrittenAnswer]:
    options = ["neither", "A", "B"]  # the text of one is the letter of another
    items = [
        Item("choice-1", (), "Which?", "B", 0, meta={"options": options}),
        Item("open-1", (), "How much?", "3", 1, references=("3", "three"), meta={"question_type": "open"}),
        Item("choice-2", (), "Which?", "neither", 2, meta={"options": options}),
    ]
    return [WrittenAnswer(item, text) for item, text in zip(items, texts, strict=True)]


def test_both_kinds_of_question_are_one_figure() -> None:
    given = answers("C", "It is three", "no idea")
    found = SCORERS["mmmu-v1"].score(given, condition="own", seed=0)
    assert [item.value for item in found.items] == [1, 1, 0]
    assert {name: estimate.value for name, estimate in found.estimates.items()} == {
        "accuracy": pytest.approx(2 / 3),
        "accuracy_choice": 0.5,
        "unparsed": 0.5,
        "accuracy_open": 1.0,
    }
    items = [answer.item for answer in given]
    assert SCORERS["mmmu-v1"].chance(items) == pytest.approx(2 / 9)
    assert SCORERS["mmmu-v1"].chance(items[1:2]) is None
    drawn = SCORERS["mmmu-lmms-eval-random-v1"].score(given, condition="own", seed=0)
    assert "drawn by chance" in drawn.items[2].note


def test_an_item_whose_answer_is_no_option_is_named() -> None:
    item = Item("choice-9", (), "Which?", "frog", 0, meta={"options": ["a", "b"]})
    with pytest.raises(ValueError, match="item 'choice-9': the right answer 'frog' is no text of the 2 candidates"):
        SCORERS["mmmu-v1"].chance([item])
