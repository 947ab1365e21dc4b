"""Texts that the model wrote: exact match and VQA accuracy over items with one or several references."""

import pytest

from eval.items.item import Item
from eval.scorers import SCORERS, WrittenAnswer, get_scorer


def values(scorer: str, texts: list[str], *references: str) -> list[float]:
    item = Item("one", (), "", references[0], 0, references=references)
    answers = [WrittenAnswer(item, text) for text in texts]
    return [found.value for found in SCORERS[scorer].score(answers, condition="own", seed=0).items]


def test_an_empty_answer_is_no_match_for_an_article() -> None:
    assert values("exact-match-v2", ["", "the", "An.", "A", "A.", "a"], "A") == [0, 0, 0, 1, 1, 1]
    assert values("exact-match-v2", ["", ".", "+"], "+") == [0, 0, 1]


def test_any_reference_will_do_for_exact_match() -> None:
    assert values("exact-match-v2", ["Toad", "frog!", "bird"], "a frog", "toad") == [1, 1, 0]


def test_vqa_accuracy_counts_annotators() -> None:
    # two of ten say so: those two see one other each, the eight see two
    annotations = ["frog"] * 2 + ["toad"] * 8
    assert values("vqa-accuracy-v1", ["A frog.", "toad", "bird"], *annotations) == [
        pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10),
        1,
        0,
    ]


def test_blank_annotations_are_answers_of_vqa_accuracy_and_no_references_elsewhere() -> None:
    # published code: "net" has 7 of 10 annotators; an empty answer equals the three blank ones, two others each
    item = Item("one", (), "", "net", 0, references=("net",) * 7, num_blank=3)
    answers = [WrittenAnswer(item, text) for text in ("net", "", "frog")]

    def scored(scorer: str) -> list[float]:
        return [found.value for found in SCORERS[scorer].score(answers, condition="own", seed=0).items]

    three = pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert scored("vqa-accuracy-v1") == scored("vqa-accuracy-clean-v1") == [1, three, 0]
    assert scored("exact-match-v2") == [1, 0, 0]


def test_people_are_shown_every_reference_once() -> None:
    assert (
        WrittenAnswer(Item("one", (), "", "frog", 0, references=("frog", "toad", "frog")), "").target == "frog / toad"
    )


def test_a_scorer_that_was_corrected_is_named() -> None:
    with pytest.raises(ValueError, match=r"'exact-match-v1' is 'exact-match-v2' today"):
        get_scorer("exact-match-v1")


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("1,000", ["1000", "1,000."], ["1", "1 000"]),
        ("1,2", ["1, 2"], ["12"]),
        ("vitamin A", ["Vitamin a."], ["vitamin"]),
        ("The frog", ["frog", "a frog!"], ["frogs"]),
        ("don't", ["dont", "Don’t"], ["do not"]),
        ("U.S.", ["us", "U.S", "US"], ["U S"]),
        ("$5.50", ["$ 5.50"], ["5.50", "5 50"]),
        ("-5", ["-5."], ["5"]),
        ("ten", ["10"], ["1"]),
        ("x-ray", ["X ray"], ["xray"]),
        ("10:30", ["10:30."], ["1030"]),
        ("+", ["+"], [""]),
        ("हिन्दी", ["हिन्दी।"], ["हनद"]),
    ],
)
def test_clean_normalisation_keeps_what_means_something(text: str, same: list[str], other: list[str]) -> None:
    assert values("exact-match-clean-v1", [*same, *other], text) == [1] * len(same) + [0] * len(other)
    assert values("vqa-accuracy-clean-v1", [*same, *other], text) == [1] * len(same) + [0] * len(other)


def test_gqa_ignores_case_and_punctuation_only() -> None:
    assert values("exact-match-gqa-v1", ["Left.", " left\n", "the left", "l-eft"], "left") == [1, 1, 0, 1]
