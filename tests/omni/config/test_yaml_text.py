"""YAML within bounds: aliases, depth, keys and damaged values end in an error with the line, and soon."""

from itertools import pairwise

import pytest
import yaml

from omni.config import yaml_text
from omni.config.yaml_text import load_yaml

LETTERS = "abcdefghij"
LAUGHS = "a: &a [1, 2]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LETTERS)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n" for before, name in pairwise(LETTERS)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "every * counts"),
        (MERGES, "every * counts"),
        ("a: &a [*a]", "no end"),
        ("a: &a {b: {c: *a}}", "no end"),
        ("[" * 100_000, "values deep"),
        ("- " * 100_000, "values deep"),
        ("{" + ",".join(f"k{index}: 1" for index in range(50_000)) + "}", "more than 20,000"),
        ("a: 1\nb: 2024-13-45", "'2024-13-45' is no timestamp"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!bool maybe", "'maybe' is no bool"),
        ("a: " + "9" * 5000, "is no int"),
        ("a: 0x" + "f" * 20, "more than 63 bits"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("? [a, b]\n: 1", "unhashable"),
        ("a: {b: 1, b: 2}", "the key 'b' occurs twice"),
    ],
)
def test_what_is_too_large_or_damaged_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"line \d+, column \d+") as error:
        load_yaml(text)
    assert words in str(error.value)


def test_a_text_of_megabytes_is_refused_unread() -> None:
    with pytest.raises(yaml.YAMLError, match="over the limit"):
        load_yaml(" " * (yaml_text._MOST_CHARACTERS + 1))


def test_usual_aliases_and_merged_keys_are_read() -> None:
    text = "a: &a {x: 1, y: [2]}\nb: *a\nc: {<<: *a, x: 3}\nd: [*a, *a]\ne: 1e-4"
    one = {"x": 1, "y": [2]}
    assert load_yaml(text) == {"a": one, "b": one, "c": {"x": 3, "y": [2]}, "d": [one, one], "e": 1e-4}


def test_thousands_of_keys_are_read() -> None:
    text = "".join(f"key{index}: {index}\n" for index in range(5000))
    assert load_yaml(text) == {f"key{index}": index for index in range(5000)}
