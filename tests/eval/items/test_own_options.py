"""Candidates that rows bring, in the spellings of published sets, and which of them is right."""

from typing import Any

import numpy as np
import pytest

from eval.items.own_options import read_options, right_option


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (["a frog", "a bell"], ("a frog", "a bell")),
        (("1", 2, 2.5), ("1", "2", "2.5")),
        (np.array(["x", "y"]), ("x", "y")),
        ("['\\\\frac{1}{2}', \"it's\"]", ("\\frac{1}{2}", "it's")),  # MMMU: a list as Python writes it
        ('["a", "b"]', ("a", "b")),  # MMAU: as JSON
    ],
)
def test_lists_are_read_however_they_are_written(value: Any, options: tuple[str, ...]) -> None:
    assert read_options({"options": value}, "options") == options


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"choices": ["a", "b"]}, "has no candidates 'options' in its row; found .'choices'."),
        ({"options": None}, "has no candidates"),
        ({"options": ["a"]}, "has 1 candidate"),
        ({"options": []}, "has 0 candidate"),
        ({"options": "A. one B. two"}, "must be a list of candidates; got the text"),
        ({"options": "__import__('os').getcwd()"}, "must be a list of candidates"),
        ({"options": ["a", None]}, "a list of texts; got None"),
        ({"options": ["a", "  "]}, "a list of texts"),
        ({"options": ["a", ["b"]]}, "a list of texts"),
        ({"options": {"A": "x"}}, "must be a list of candidates"),
    ],
)
def test_what_is_no_list_of_texts_is_named(meta: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_options(meta, "options")


OPTIONS = ("yes", "no", "A dog.", "a")


@pytest.mark.parametrize(
    ("target", "right_by", "index"),
    [
        ("no", "text", 1),
        ("a dog", "text", 2),  # another spelling
        ("a", "text", 3),
        ("2", "index", 2),
        ("B", "letter", 1),
        ("(b)", "letter", 1),
        ("C.", "letter", 2),
        ("[D]", "letter", 3),
    ],
)
def test_the_right_one_is_found(target: str, right_by: str, index: int) -> None:
    assert right_option(target, OPTIONS, right_by) == index


@pytest.mark.parametrize(
    ("target", "right_by"),
    [
        ("maybe", "text"),
        ("4", "index"),
        ("-1", "index"),
        ("1.0", "index"),
        ("E", "letter"),
        ("BC", "letter"),
        ("", "letter"),
    ],
)
def test_a_target_that_is_none_of_them_is_no_item(target: str, right_by: str) -> None:
    with pytest.raises(ValueError, match=f"is no {right_by} of the 4 candidates"):
        right_option(target, OPTIONS, right_by)
