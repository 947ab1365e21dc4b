"""Training as its users start it: several processes under accelerate, and signals."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.train.runs import (
    REPOSITORY,
    command,
    environment,
    metrics,
    mixed_rows,
    row,
    run,
    weights,
    write_manifest,
    write_recipe,
)


@pytest.mark.distributed
def test_two_processes_equal_one_with_twice_the_accumulation(tmp_path: Path, tiny_llm: Path) -> None:
    # every subset of modalities occurs, so the two processes often meet different ones; one sample is bad
    rows = [*mixed_rows(11), row("bad", ["image:missing.npy"], "a frog")]
    data = write_manifest(tmp_path / "data", rows)
    held_out = write_manifest(tmp_path / "held_out", mixed_rows(5, "held-out-"))
    settings = {"batch_size": 1, "steps": 6, "evaluate_every": 3, "evaluation": [{"path": str(held_out)}]}
    settings["lora"] = {"r": 2, "alpha": 4, "dropout": 0.1, "target_modules": ["q_proj"]}
    one = run(write_recipe(tmp_path / "one", tiny_llm, data, accumulation_steps=4, **settings))
    two = run(write_recipe(tmp_path / "two", tiny_llm, data, accumulation_steps=2, **settings), processes=2)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    assert "on 2 process(es)" in two.stderr
    runs = tmp_path / "one/run", tmp_path / "two/run"
    for name in ("loss", "gradient_norm", "evaluation_loss", "samples", "answer_tokens"):
        assert metrics(runs[1], name) == pytest.approx(metrics(runs[0], name), rel=1e-3), name
    first, second = (weights(folder / "last") for folder in runs)
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) < 1e-3
    bad = [(folder / "bad_samples.jsonl").read_text() for folder in runs]
    assert bad[0] == bad[1]
    assert bad[0].count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_finishes_the_step_saves_and_the_same_command_goes_on(
    tmp_path: Path, tiny_llm: Path, number: signal.Signals, status: int
) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows())
    recipe = write_recipe(tmp_path / "stopped", tiny_llm, data, steps=60, num_workers=1, batch_size=8)
    lines = tmp_path / "stopped/run/metrics.jsonl"
    with subprocess.Popen(
        command(recipe), cwd=REPOSITORY, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 120
        while not (lines.exists() and lines.read_text().count("\n") >= 3):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, number)  # as terminals, `timeout` and Slurm do: to data-loading workers too
        _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "the same command continues from there" in errors
    assert "Traceback" not in errors
    stopped_after = max(metrics(tmp_path / "stopped/run", "loss"))
    assert 3 <= stopped_after < 60

    resumed = run(recipe)
    assert resumed.returncode == 0, resumed.stderr
    assert f"continuing after step {stopped_after}" in resumed.stderr
    whole = run(write_recipe(tmp_path / "whole", tiny_llm, data, steps=60, num_workers=1, batch_size=8))
    assert whole.returncode == 0, whole.stderr
    ends = [(tmp_path / name / "run/last/adapter.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert ends[0] == ends[1]
    assert metrics(tmp_path / "stopped/run", "loss") == metrics(tmp_path / "whole/run", "loss")


def test_mistake_in_a_recipe_is_one_line_and_status_2(tmp_path: Path, tiny_llm: Path) -> None:
    result = run(write_recipe(tmp_path, tiny_llm, tmp_path / "data.jsonl"), "--train.lerning_rate", "3")
    assert result.returncode == 2
    assert "train.lerning_rate: unknown key" in result.stderr
    assert "Traceback" not in result.stderr
