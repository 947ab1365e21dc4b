"""Damaged recipes end in a checked recipe or in an error in words; two thousand by `make fuzz`."""

from tests.fuzz_recipes import run

NUM_CASES = 120


def test_damaged_recipes_end_in_words() -> None:
    figures = run(NUM_CASES)
    assert figures["failures"] == []
    assert figures["results"] + figures["errors"] == NUM_CASES
    assert min(figures["results"], figures["errors"]) >= 10, figures
