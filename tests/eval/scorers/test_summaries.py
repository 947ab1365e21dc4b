"""What papers report over parts of a benchmark, computed by hand from a few answers."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from eval.items.item import Item
from eval.metrics.summaries import MME_PARTS
from eval.scorers import SCORERS, WrittenAnswer


def scored(scorer: str, rows: Sequence[tuple[str, str, dict[str, Any]]]) -> tuple[dict[str, float], dict[str, str]]:
    """The figures of answers, given as text, right answer and row."""
    answers = []
    for number, (text, target, meta) in enumerate(rows):
        options = ("Yes", "No") if scorer.startswith("naturalbench") else ("up", "down")
        right = options.index(target) if target in options else 0
        item = Item(str(number), (), "Is it?", target, number, options, right, meta=meta, group=meta.get("group"))
        answers.append(WrittenAnswer(item, text))
    found = SCORERS[scorer].score(answers, condition="own", seed=0)
    for estimate in found.estimates.values():
        assert math.isnan(estimate.low) or estimate.low <= estimate.value + 1e-9 <= estimate.high + 2e-9
    return {name: one.value for name, one in found.estimates.items()}, dict(found.not_computed)


def mme(category: str, picture: int, *right: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """The answers to the questions about one picture, of which each is right or wrong; two belong together."""
    row = {"category": category, "group": f"{category}/{picture}", "group_size": 2}
    said = [("yes", "no")[index] if one else "perhaps" for index, one in enumerate(right)]
    return [(text, ("yes", "no")[index], row) for index, text in enumerate(said)]


def test_mme_adds_accuracy_and_accuracy_plus_of_each_category() -> None:
    found, gaps = scored("mme-yes-no-v1", [*mme("color", 1, True, True), *mme("color", 2, True, False)])
    assert found["score_color"] == pytest.approx(75 + 50)  # three of four questions, one of two pictures
    assert (found["accuracy"], found["group_accuracy"]) == (0.75, 0.5)
    assert gaps["perception"].startswith("it is the sum over 10 categories, of which existence, count, position, ")
    assert "cognition" in gaps


def test_mme_sums_to_2000_and_800() -> None:
    rows = [row for names in MME_PARTS.values() for name in names for row in mme(name, 1, True, True)]
    rows += mme("OCR", 2, True)  # its other question is missing, so that the picture is wrong
    found, gaps = scored("mme-yes-no-v1", rows)
    assert (found["score_OCR"], found["perception"], found["cognition"]) == (150, 1950, 800)
    assert not gaps


def natural(group: str, *right: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """Both questions about both pictures: question 0 about picture 0 and 1, then question 1."""
    rows = []
    for index, one in enumerate(right):
        row = {"group": group, "group_size": 4, "question_number": index // 2, "picture_number": index % 2}
        rows.append(("Yes" if one else "No", "Yes", row))
    return rows


def test_naturalbench_counts_questions_pictures_and_groups() -> None:
    rows = natural("a", True, True, True, True) + natural("b", True, True, False, True) + natural("c", True, False)
    found, _ = scored("naturalbench-multiple-choice-v1", rows)
    # b: one question is right about both pictures, and picture 1 has both questions right; c lacks a question
    assert found["accuracy_by_question"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["accuracy_by_picture"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert (found["group_accuracy"], found["accuracy"]) == (pytest.approx(1 / 3), 0.8)
    (only_picture, _) = scored("naturalbench-multiple-choice-v1", natural("d", True, False, True, False))
    assert (only_picture["accuracy_by_question"], only_picture["accuracy_by_picture"]) == (0, 0.5)


def test_a_category_of_several_parts_counts_once() -> None:
    right = {"2D/ADE20K": [1, 0], "2D/COCO": [1, 1, 1, 1], "3D/Omni3D": [0, 0, 1]}
    rows = [("AB"[1 - one], "up", {"category": name}) for name, values in right.items() for one in values]
    found, _ = scored("categories-multiple-choice-v1", rows)
    assert found["accuracy"] == pytest.approx(6 / 9)
    assert found["accuracy_by_category"] == pytest.approx(((1 / 2 + 1) / 2 + 1 / 3) / 2)  # CV-Bench's own formula
    assert [found[f"accuracy_in_{name}"] for name in right] == pytest.approx([1 / 2, 1, 1 / 3])
    flat = [(text, target, {"category": row["category"].replace("/", " ")}) for text, target, row in rows]
    assert scored("categories-multiple-choice-v1", flat)[0]["accuracy_by_category"] == pytest.approx(
        (1 / 2 + 1 + 1 / 3) / 3
    )


def test_rows_without_a_category_have_no_mean_over_categories() -> None:
    found, gaps = scored("categories-multiple-choice-v1", [("A", "up", {"category": "one"}), ("A", "up", {})])
    assert found == {"accuracy": 1, "unparsed": 0}
    assert gaps == {"accuracy_by_category": "item '1' has no 'category' in its row"}
