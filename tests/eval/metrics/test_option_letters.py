"""Which option a text names, in three ways: by hand, with the traps of articles, cases, reasons and refusals."""

import random

import pytest

from eval.metrics import marked_options, parse_option, parse_option_lmms_eval, parse_option_vlmevalkit, right_option

OPTIONS = ["a red frog", "a toad", "a red frog on a stone", "none of them"]


def named(index: int | None) -> str:
    return "-" if index is None else "ABCD"[index]


@pytest.mark.parametrize(
    ("text", "ours", "vlmevalkit", "lmms_eval"),
    [
        ("B", "B", "B", "B"),
        ("b", "B", "-", "-"),
        ("B.", "B", "B", "B"),
        ("(b)", "B", "-", "-"),
        ("**B**", "B", "B", "-"),
        ("Ｂ", "B", "-", "-"),  # a full-width letter
        ("", "-", "-", "-"),
        (" \n", "-", "-", "-"),
        ("E", "-", "-", "-"),  # no such option
        ("Z", "-", "-", "-"),
        ("The answer is B because A is red.", "B", "-", "A"),  # lmms-eval: the last one between blanks
        ("the answer is b.", "B", "-", "-"),
        ("Answer: (B)", "B", "B", "B"),
        (r"\boxed{B}", "B", "B", "-"),
        ("The answer is A. No, the answer is B.", "B", "-", "B"),
        ("The answer is a toad.", "B", "B", "-"),  # five words are too few for lmms-eval
        ("A toad.", "B", "A", "A"),  # the article is a letter in both suites
        ("Answer: A toad", "B", "A", "A"),
        ("It is a toad that sits on it.", "B", "B", "B"),
        ("It is a red frog on a stone.", "C", "-", "A"),  # both begin at one place: the first one
        ("a red frog", "A", "A", "-"),
        ("B. A toad", "B", "B", "A"),
        ("B) because it is green", "B", "-", "-"),
        ("B because it is green", "B", "-", "B"),
        ("(A) or (B)", "-", "-", "B"),
        ("A or B", "-", "-", "B"),
        ("The answer is A or B.", "-", "-", "B"),
        ("A, B", "-", "-", "B"),
        ("It is not A.", "-", "A", "A"),
        ("not (A) but (B)", "B", "-", "B"),
        ("A frog sits there.", "-", "A", "A"),
        ("I think so", "-", "-", "-"),
        ("I would choose option C", "C", "C", "C"),
        ("I'm sorry, but without the image provided I choose B", "B", "-", "B"),
        ("USA WON", "-", "-", "A"),
        ("e.g. a bird", "-", "-", "-"),
        ("B\n\nThe frog is green.", "B", "-", "-"),
    ],
)
def test_each_way_of_reading_an_answer(text: str, ours: str, vlmevalkit: str, lmms_eval: str) -> None:
    found = [parse(text, OPTIONS) for parse in (parse_option, parse_option_vlmevalkit, parse_option_lmms_eval)]
    assert [named(index) for index in found] == [ours, vlmevalkit, lmms_eval]


def test_every_option_is_read_by_its_letter_and_by_its_text() -> None:
    generator = random.Random(0)
    words = ["frog", "toad", "bird", "stone", "drum", "bell", "cloud", "ship", "tree", "river"]
    forms = [
        "{0}",
        "({0})",
        "{0}.",
        "Answer: {0}",
        "The answer is {0}.",
        "The correct option is ({0}).",
        "{0}. {1}",
        "{1}",
    ]
    for _ in range(1000):
        options = generator.sample(words, generator.randint(2, 8))
        index = generator.randrange(len(options))
        text = generator.choice(forms).format("ABCDEFGH"[index], options[index])
        assert parse_option(text, options) == index, text


def test_the_options_that_a_question_lists() -> None:
    assert marked_options("What is it?\nA. a frog\nB. a toad\nAnswer with the letter.") == ("a frog", "a toad")
    assert marked_options("Open? (a) Open (b) Closed") == ("Open", "Closed")
    assert marked_options("A: one\nB: two\nC: three") == ("one", "two", "three")
    assert marked_options("See A. Smith\n(A) x\n(B) y") == ("x", "y")
    assert marked_options("Which?\nA. a long\nline\nB. two") == ("a long\nline", "two")
    assert marked_options("Is it a frog? A. yes") == ()
    assert marked_options("A. one\nC. three") == ()
    assert marked_options("") == ()


def test_the_right_option_by_letter_or_text() -> None:
    assert [right_option(answer, OPTIONS) for answer in ("B", "(b)", "b.", "A toad.", "none of them")] == [
        1,
        1,
        1,
        1,
        3,
    ]
    with pytest.raises(ValueError, match=r"the right answer '7' names none of its options A. 'a red frog'"):
        right_option("7", OPTIONS)
    with pytest.raises(ValueError, match="names more than one"):
        right_option("B", ["B", "A"])
