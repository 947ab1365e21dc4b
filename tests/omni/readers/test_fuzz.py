"""Rows of every form, whole and damaged: each ends with all its media or in a named error; more by `make fuzz`."""

import pytest

from omni.samples.messages import SampleError
from tests.fuzz_rows import LostError, compare, run


@pytest.mark.parametrize(("name", "count"), [("conversations", 400), ("tables", 40), ("folders", 40), ("shards", 80)])
def test_rows_end_whole_or_named(name: str, count: int) -> None:
    figures = run(name, count)
    assert figures["failures"] == []
    assert min(figures["samples"], figures["errors"]) >= 5, figures  # neither all whole nor all damaged


def test_a_lost_row_is_seen() -> None:
    with pytest.raises(LostError, match="2 rows became 1"):
        compare([SampleError("a", "gone")], [["a.jpg"], ["b.jpg"]])
