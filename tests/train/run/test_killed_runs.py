"""A run that was killed at random moments and started again equals one that was left alone, to the last bit."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.train.run.killing import Killer, Moment
from tests.train.runs import REPOSITORY, command, environment, mixed_rows, run, write_manifest, write_recipe

KILLS = int(os.environ.get("OMNI_TEST_KILLS", "4"))  # of one process; more of them search longer
SETTINGS = {"steps": 40, "batch_size": 2, "save_every": 1, "evaluate_every": 4, "keep": 2}
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("data"), mixed_rows())


def recipe_in(folder: Path, llm: Path, data: Path, **changes: int) -> Path:
    return write_recipe(folder, llm, data, evaluation=[{"path": str(data)}], **SETTINGS | changes)


def content(folder: Path) -> dict[str, object]:
    """What a run leaves behind, without what says when it was."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timeless = ("step", "loss", "lr", "gradient_norm", "samples", "answer_tokens", "evaluation_loss")
    models = sorted(path.parent for path in folder.glob("*/adapter.safetensors"))
    return {
        "metrics": [{name: row[name] for name in timeless if name in row} for row in rows],
        "weights": {model.name: (model / "adapter.safetensors").read_bytes() for model in models},
        "files": sorted(item.name for item in folder.iterdir()),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path, data: Path) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    finished = run(recipe_in(folder, tiny_llm, data))
    assert finished.returncode == 0, finished.stderr
    return content(folder / "run")


@pytest.mark.parametrize(("moment", "seed"), [("any", 0), ("save", 1)])
def test_run_killed_at_random_moments_equals_the_undisturbed_one(
    tmp_path: Path, tiny_llm: Path, data: Path, undisturbed: dict[str, object], moment: Moment, seed: int
) -> None:
    killer = Killer(recipe_in(tmp_path, tiny_llm, data), seed, moment=moment)
    killer.run_to_end(KILLS)
    assert killer.kills >= min(KILLS, 3)
    assert content(tmp_path / "run") == undisturbed
    if moment == "save":
        assert killer.torn_saves >= 1


@needs_proc
@pytest.mark.distributed
def test_run_that_lost_one_of_its_processes_at_random_moments_equals_the_undisturbed_one(
    tmp_path: Path, tiny_llm: Path, data: Path, undisturbed: dict[str, object]
) -> None:
    killer = Killer(recipe_in(tmp_path, tiny_llm, data, batch_size=1), seed=4, processes=2, victim="one", max_lines=10)
    killer.run_to_end(2)
    assert killer.kills >= 1
    found = content(tmp_path / "run")
    assert found["files"] == undisturbed["files"]
    expected, rows = undisturbed["metrics"], found["metrics"]
    assert isinstance(expected, list)
    assert isinstance(rows, list)
    assert [row["step"] for row in rows] == [row["step"] for row in expected]
    for name in ("loss", "gradient_norm", "lr"):  # two processes sum in another order than one
        assert [row[name] for row in rows if name in row] == pytest.approx(
            [row[name] for row in expected if name in row], rel=1e-4
        ), name


def test_loading_workers_end_when_their_training_process_is_killed(tmp_path: Path, tiny_llm: Path) -> None:
    # Batches that fill the pipe of a worker, so that it is stuck in handing one over.
    data = write_manifest(tmp_path / "data", mixed_rows(1000))
    recipe = write_recipe(tmp_path / "run", tiny_llm, data, steps=200, batch_size=500, num_workers=1)
    words = command(recipe)
    lines = tmp_path / "run/run/metrics.jsonl"
    with subprocess.Popen(
        words, cwd=REPOSITORY, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 200
        while not lines.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    try:
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        return
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("a worker is still there")
