"""A thousand damaged items for each loader: each ends in a result or in one clear error, within a bound of memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz import LOADERS

NUM_CASES = 1000


def test_damaged_media_end_in_a_result_or_one_error() -> None:
    """In a process of its own, in which a crash, a hang or more than 1 GB of memory is an end that is seen."""
    command = [sys.executable, "-m", "tests.fuzz", ",".join(LOADERS), str(NUM_CASES)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, (done.returncode, done.stderr[-4000:])
    figures = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["name"] for one in figures] == [*LOADERS]
    for one in figures:
        assert one["failures"] == [], one["name"]
        assert one["results"] + one["errors"] == NUM_CASES
        assert min(one["results"], one["errors"]) >= 50, one  # neither all whole nor all broken
