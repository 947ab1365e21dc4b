"""Two runs in one output folder do not meet: the second ends in words before it touches anything."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from omni.runtime.folder_lock import FolderLock
from tests.train.runs import REPOSITORY, command, environment, mixed_rows, run, write_manifest, write_recipe


def test_a_second_run_is_told_who_writes_there_and_a_killed_one_holds_nothing(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows())
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, steps=100000, save_every=1, num_workers=1)
    folder = tmp_path / "a/run"
    with subprocess.Popen(
        command(recipe), cwd=REPOSITORY, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    ) as first:
        while not (folder / "last").exists():
            assert first.poll() is None
            time.sleep(0.05)
        second = run(recipe, "--train.resume", "never")
        assert first.poll() is None
        assert second.returncode == 1
        assert f"{folder} is in use: process {first.pid} of " in second.stderr
        assert "Nothing was changed" in second.stderr
        assert "Traceback" not in second.stderr
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert (folder / "last").is_dir()
    saved = (folder / "last/trainer_state/state.json").read_text()
    step = int(saved.partition('"step": ')[2].partition(",")[0])
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    third = run(recipe, "--train.steps", str(step))  # another number of steps: refused, by the run's own check
    assert third.returncode == 1
    assert "train.steps: 100000 before" in third.stderr
    assert len(rows) == len({row.partition(",")[0] for row in rows})


@pytest.mark.distributed
def test_all_processes_of_a_second_run_end_with_the_same_words(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows())
    lock = FolderLock(tmp_path / "a/run")
    lock.acquire()
    try:
        second = run(write_recipe(tmp_path / "a", tiny_llm, data), processes=2)
    finally:
        held = [file.name for file in (tmp_path / "a/run").iterdir()]
        lock.release()
    assert second.returncode == 1
    assert f"is in use: process {os.getpid()} of " in second.stderr
    assert held == [".lock"]


def test_a_run_that_fails_before_it_writes_leaves_no_folder(tmp_path: Path, tiny_llm: Path) -> None:
    recipe = write_recipe(tmp_path / "a", tiny_llm, tmp_path / "missing.jsonl", output_dir=str(tmp_path / "runs/one"))
    failed = run(recipe)
    assert failed.returncode == 1
    assert "missing.jsonl" in failed.stderr
    assert not (tmp_path / "runs").exists()
