"""Ctrl-C during the quickstart lets the training that it has started save first."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.train.runs import REPOSITORY, environment

# A Ctrl-C must count also where the tests were started with SIGINT ignored, as scripts start what is in the background.
CHILD = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
Path(sys.argv[1], "ready").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1.5)  # saving
    Path(sys.argv[1], "saved").touch()
    sys.exit(130)
"""
PARENT = """
import signal, sys
from demo.quickstart.__main__ import run_to_end
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    run_to_end([sys.executable, "-c", sys.argv[2], sys.argv[1]])
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_training_is_left_time_to_save(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), CHILD]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment(), start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(timeout=60) == 130
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("status", [1, 143])
def test_failure_of_the_training_is_passed_on(status: int) -> None:
    from demo.quickstart.__main__ import run_to_end

    with pytest.raises(subprocess.CalledProcessError) as failure:
        run_to_end([sys.executable, "-c", f"import sys; sys.exit({status})"])
    assert failure.value.returncode == status
