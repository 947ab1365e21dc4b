"""VQA answers: values written by hand from the rules of the evaluation code that was published with the data set."""

import pytest

from eval.metrics import normalise_vqa_v2, vqa_accuracy


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # numbers and articles
        ("The Two dogs.", "2 dogs"),
        ("none", "0"),
        ("Ten", "10"),
        ("eleven", "eleven"),
        ("an apple a day", "apple day"),
        # full stops go where no digit follows
        ("U.S.", "us"),
        ("10 a.m.", "10 am"),
        ("J.F.K.", "jfk"),
        ("washington d.c.", "washington dc"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("no.5", "no.5"),
        # a mark next to a blank goes, else a blank takes its place
        ("t-shirt", "t shirt"),
        ("red/blue", "red blue"),
        ("red / blue", "red blue"),
        ("yes, red/blue", "yes red blue"),
        ("yes ,no,maybe", "yes nomaybe"),
        ("(left)", "left"),
        # a comma between digits takes all marks along
        ("1,000", "1000"),
        ("1,2 t-shirt", "12 tshirt"),
        # colons and apostrophes are no punctuation
        ("7:30", "7:30"),
        ("dog's", "dog's"),
        # contractions on the list get their apostrophe back
        ("dont", "don't"),
        ("couldnt've", "couldn't've"),
        ("oclock", "o'clock"),
        ("'ows'at", "'ow's'at"),
        ("yall'd've", "y'all'd've"),
        # what the list has wrong, or not at all
        ("somebody'd", "somebodyd"),
        ("lets", "lets"),
        ("its", "its"),
        # white space
        ("two\n\tdogs ", "2 dogs"),
        # faults that published figures have
        ("vitamin A", "vitamin"),
        ("a. " * 33, "a."),
    ],
)
def test_published_rules(answer: str, expected: str) -> None:
    assert normalise_vqa_v2(answer) == expected


@pytest.mark.parametrize("answer", ["A", "a.", "the", "An", "+", "-", "?", "...", "A/"])
def test_what_would_leave_nothing_stays(answer: str) -> None:
    assert normalise_vqa_v2(answer) != ""
    assert vqa_accuracy("", [answer] * 10) == 0
    assert vqa_accuracy(answer, [answer] * 10) == 1


def test_one_letter_written_in_two_ways_is_one() -> None:
    assert normalise_vqa_v2("cafe\u0301") == normalise_vqa_v2("café")
    assert normalise_vqa_v2("don’t") == "don't"


def test_annotations_are_treated_like_answers() -> None:
    # the published code leaves them as they are where all agree, so that `the beach` could never be hit
    assert vqa_accuracy("beach", ["the beach"] * 10) == 1
    assert vqa_accuracy("2", ["two"] * 10) == 1


def test_annotations_are_a_list() -> None:
    with pytest.raises(ValueError, match="list of references, not one text"):
        vqa_accuracy("frog", "frog")
