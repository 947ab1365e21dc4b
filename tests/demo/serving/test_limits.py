"""Budgets of visitors, and the private folder of a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.serving.budget import Budget, OverBudgetError
from demo.serving.private_folder import bytes_in, private_folder


def test_a_budget_is_each_visitors_own_and_comes_back() -> None:
    now = [0.0]
    budget = Budget(10, 60, "seconds", clock=lambda: now[0])
    budget.use("a", 6)
    now[0] = 30
    budget.check("a", 4)
    budget.use("a", 4)
    with pytest.raises(OverBudgetError, match="you have used your 10 seconds of 1 minutes") as caught:
        budget.check("a", 1)
    assert caught.value.retry_after == 30  # when the first six are forgotten
    budget.check("b", 10)
    now[0] = 61
    budget.check("a", 6)
    assert budget.used("a") == 4


def test_visitors_beyond_the_most_are_forgotten_the_oldest_first() -> None:
    budget = Budget(10, 60, "seconds", most_visitors=2)
    for visitor in ("a", "b", "a", "c"):
        budget.use(visitor, 1)
    assert [budget.used(visitor) for visitor in "abc"] == [2, 0, 1]


def test_a_private_folder_is_nobody_elses_and_goes_at_the_end(tmp_path: Path) -> None:
    with private_folder("run", tmp_path) as folder:
        assert oct(folder.stat().st_mode)[-3:] == "700"
        (folder / "a").write_bytes(b"12345")
        assert bytes_in(folder) == 5
        with private_folder("run", tmp_path) as other:  # a second run leaves the first alone
            assert other != folder
            assert folder.exists()
    assert not folder.exists()


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from demo.serving.private_folder import private_folder\n"
        "with private_folder('run', pathlib.Path(sys.argv[1])) as f: (f/'a').write_text('x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env={**os.environ})
    (left,) = tmp_path.glob("run-*")
    assert (left / "a").exists()
    with private_folder("run", tmp_path):
        assert not left.exists()
