"""Questions with the answer yes or no: figures, answers that are neither, and items that ask something else."""

import pytest

from eval.items.item import Item
from eval.scorers import SCORERS, ChoiceAnswer, WrittenAnswer

RIGHT = ["yes", "Yes.", "no", "no", "yes", "no"]


def values(name: str, texts: list[str]) -> dict[str, float]:
    answers = [
        WrittenAnswer(Item(str(number), (), "?", right, number), text)
        for number, (text, right) in enumerate(zip(texts, RIGHT, strict=True))
    ]
    found = SCORERS[name].score(answers, condition="own", seed=0)
    assert all(one.low <= one.value <= one.high for one in found.estimates.values())
    return {metric: round(one.value, 6) for metric, one in found.estimates.items()}


def test_what_is_neither_is_wrong_and_no_yes() -> None:
    # right yes, neither (of a yes), wrong yes, right no, right yes, neither (of a no)
    texts = ["Yes", "a dog", "yes", "No.", "yes, it is", "perhaps"]
    assert values("yes-no-v1", texts) == {
        "accuracy": 0.5,
        "precision": round(2 / 3, 6),
        "recall": round(2 / 3, 6),
        "f1": round(2 / 3, 6),
        "yes_share": 0.5,
        "unparsed": round(2 / 6, 6),
    }
    assert values("yes-no-pope-v1", texts)["yes_share"] == round(5 / 6, 6)
    assert values("yes-no-exact-v1", texts)["unparsed"] == round(4 / 6, 6)


def test_a_model_that_never_says_yes_has_no_precision() -> None:
    found = values("yes-no-v1", ["no"] * 6)
    assert (found["accuracy"], found["precision"], found["recall"], found["f1"], found["yes_share"]) == (
        0.5,
        0,
        0,
        0,
        0,
    )


def test_a_choice_between_yes_and_no_is_read_as_its_likeliest_option() -> None:
    item = Item("one", (), "?", "no", 0, options=("yes", "no"), right=1)
    answers = [ChoiceAnswer(item, [[-2.0, -1.0]], [0.0, 0.0], [1, 1])]
    assert SCORERS["yes-no-v1"].score(answers, condition="own", seed=0).estimates["accuracy"].value == 1


def test_an_item_with_another_answer_is_named() -> None:
    items = [Item("one", (), "?", "no", 0), Item("two", (), "?", "frog", 1)]
    with pytest.raises(ValueError, match="item 'two': the right answer must be yes or no, not 'frog'"):
        SCORERS["yes-no-v1"].chance(items)
    with pytest.raises(ValueError, match="not 'yes / no'"):
        SCORERS["yes-no-v1"].chance([Item("both", (), "?", "yes", 0, references=("yes", "no"))])
    assert SCORERS["yes-no-v1"].chance(items[:1]) == 0.5
