"""Choices among classes: figures by hand, and items with different classes are refused."""

import numpy as np
import pytest

from eval.items.item import Item
from eval.scorers import SCORERS, ChoiceAnswer

CLASSES = ("frog", "toad", "bird")


def answer(number: int, right: int, scores: list[float], **changes: bool) -> ChoiceAnswer:
    item = Item(str(number), (), "?", CLASSES[right], number, CLASSES, right)
    return ChoiceAnswer(item, [scores], [0.0] * 3, [1] * 3, **changes)


def test_a_model_that_always_says_the_largest_class_is_found_out() -> None:
    said = np.log([0.6, 0.3, 0.1]).tolist()
    answers = [answer(number, 0 if number < 8 else 1, said) for number in range(10)]
    found = SCORERS["classification-sum-v1"].score(answers, condition="own", seed=0).estimates
    assert found["accuracy_sum"].value == 0.8
    assert found["macro_f1"].value == pytest.approx((2 * 8 / (2 * 8 + 2) + 0) / 2)
    assert found["top_5"].value == 1
    assert found["calibration_error"].value == pytest.approx(0.8 - 0.6)
    assert found["auroc"].value == 0.5
    assert found["mean_average_precision"].value == pytest.approx((0.8 + 0.2) / 2)
    assert all(one.low <= one.value + 1e-12 and one.value <= one.high + 1e-12 for one in found.values())
    # in a tenth of the resamples the small class does not occur, so that there is nothing to tell apart
    assert 150 < int(found["auroc"].method.removeprefix("bootstrap-")) < 200


def test_one_class_alone_has_no_auroc() -> None:
    answers = [answer(number, 0, [0.0, -1.0, -2.0]) for number in range(4)]
    found = SCORERS["classification-sum-v1"].score(answers, condition="own", seed=0).estimates
    assert np.isnan([found["auroc"].value, found["auroc"].low, found["auroc"].high]).all()
    assert (found["macro_f1"].value, found["mean_average_precision"].value) == (1, 1)


def test_the_base_of_mutual_information_is_ranked_by_the_sum() -> None:
    answers = [answer(number, number % 3, np.eye(3)[number % 3].tolist(), is_base=True) for number in range(6)]
    found = SCORERS["classification-pmi-v1"].score(answers, condition="blank", seed=0)
    assert found.headline == "accuracy_sum"
    assert found.estimates["macro_f1"].value == 1


def test_items_with_different_classes_are_named() -> None:
    items = [Item("one", (), "?", "a", 0, ("a", "b")), Item("two", (), "?", "a", 1, ("a", "c"))]
    with pytest.raises(ValueError, match="items 'one' and 'two' have different options"):
        SCORERS["classification-sum-v1"].chance(items)
    assert SCORERS["classification-sum-v1"].chance(items[:1]) == 0.5
