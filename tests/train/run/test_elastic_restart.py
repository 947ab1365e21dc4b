"""A process that dies is started again with all others, and the run goes on from the last checkpoint."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.train.runs import REPOSITORY, command, environment, metrics, mixed_rows, run, write_manifest, write_recipe


def worker_ids(launcher: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()]


@pytest.mark.distributed
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes of the launcher in /proc")
def test_run_goes_on_when_one_of_its_processes_is_killed(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows())
    settings = {"steps": 25, "batch_size": 1, "save_every": 1}
    recipe = write_recipe(tmp_path / "killed", tiny_llm, data, **settings)
    words = command(recipe, processes=2)
    words.insert(words.index("--num_machines"), "--max_restarts=1")
    lines = tmp_path / "killed/run/metrics.jsonl"
    errors = tmp_path / "errors"
    with (
        errors.open("w") as stream,
        subprocess.Popen(words, cwd=REPOSITORY, env=environment(), stderr=stream, text=True) as process,
    ):
        deadline = time.monotonic() + 300
        while not (lines.exists() and lines.read_text().count("\n") >= 4):
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(worker_ids(process.pid)[-1], signal.SIGKILL)
        process.wait(timeout=300)
    assert process.returncode == 0, errors.read_text()
    assert "continuing after step" in errors.read_text()

    whole = run(write_recipe(tmp_path / "whole", tiny_llm, data, **settings), processes=2)
    assert whole.returncode == 0, whole.stderr
    ends = [(tmp_path / name / "run/last/adapter.safetensors").read_bytes() for name in ("killed", "whole")]
    assert ends[0] == ends[1]
    for name in ("loss", "gradient_norm", "samples"):
        assert metrics(tmp_path / "killed/run", name) == metrics(tmp_path / "whole/run", name), name
