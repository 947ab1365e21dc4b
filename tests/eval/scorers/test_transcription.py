"""Word and character error rates: by hand, with several references, empty texts and marks, and by a plain table."""

import math
import random

import numpy as np
import pytest

from eval.items.item import Item
from eval.metrics.transcription import (
    Errors,
    character_errors,
    normalise_whisper_marks,
    word_errors,
)
from eval.scorers import SCORERS, Scores, WrittenAnswer


def scored(pairs: list[tuple[str, str]], name: str = "transcription-english-v1") -> Scores:
    answers = [
        WrittenAnswer(Item(str(number), (), "?", right, number, references=tuple(right.split("|"))), text)
        for number, (text, right) in enumerate(pairs)
    ]
    return SCORERS[name].score(answers, condition="own", seed=0)


def test_edits_by_hand() -> None:
    assert word_errors("the cat sat down", "a cat sat") == Errors(2, 3)
    assert word_errors("", "a cat") == Errors(2, 2)
    assert word_errors("a cat", "") == Errors(2, 0)
    assert word_errors("", "") == Errors(0, 0)
    assert character_errors("ab  c", " abd") == Errors(2, 3)
    assert character_errors("", "abc") == Errors(3, 3)


def test_the_rate_of_a_set_is_no_mean_over_items() -> None:
    found = scored([("dog", "cat"), ("the red frog sits on a stone", "the red frog sits on a stone")])
    assert found.estimates["wer"].value == 1 / 8
    assert found.estimates["cer"].value == pytest.approx(3 / (3 + 28))
    assert found.estimates["wer"].low <= 1 / 8 <= found.estimates["wer"].high
    assert not found.items


def test_spelling_case_and_fillers_are_no_errors_in_english() -> None:
    found = scored([("Um, the colour is Mr. Smith's", "the color is mister smith's"), ("Don't!", "do not")])
    assert found.estimates["wer"].value == 0


def test_the_nearest_of_several_references_counts() -> None:
    assert scored([("a red frog", "a toad|a red frog sits")]).estimates["wer"].value == 1 / 4


def test_insertions_count_where_nothing_is_said() -> None:
    found = scored([("hello there", "[noise]"), ("a frog", "a frog")])
    assert found.estimates["wer"].value == 1
    assert math.isnan(scored([("hello", "[noise]")]).estimates["wer"].value)


def test_marks_stay_and_case_and_punctuation_go_in_other_languages() -> None:
    assert normalise_whisper_marks("हिन्दी, भाषा।") == "हिन्दी भाषा"
    assert normalise_whisper_marks("ÜBER (leise) alles") == "über alles"
    found = scored([("Uber alles", "über alles")], "transcription-other-v1").estimates
    assert (found["wer"].value, found["cer"].value) == (1 / 2, 1 / 10)


def test_edits_are_those_of_the_plain_table() -> None:
    generator = random.Random(0)
    for _ in range(1000):
        text, reference = (generator.choices("abc", k=generator.randint(low, 7)) for low in (0, 1))
        table = np.add.outer(np.arange(len(text) + 1), np.arange(len(reference) + 1))
        for i, one in enumerate(text):
            for j, other in enumerate(reference):
                table[i + 1, j + 1] = min(table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (one != other))
        assert word_errors(" ".join(text), " ".join(reference)) == Errors(table[-1, -1], len(reference))
        assert character_errors("".join(text), "".join(reference)) == Errors(table[-1, -1], len(reference))
