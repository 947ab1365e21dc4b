"""Two machines, made of Linux namespaces: the documented command trains as one process does, through a death too."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.train.run.hosts import Hosts, HostsNotPossibleError
from tests.train.runs import REPOSITORY, metrics, mixed_rows, weights, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer

DEADLINE = 240  # seconds; only to tell a hang from a slow machine


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(Hosts(tmp_path))
        except HostsNotPossibleError as error:
            pytest.skip(str(error))
        yield made


def launch(hosts: Hosts, host: int, recipe: Path, log: Path) -> "subprocess.Popen[bytes]":
    """The command of docs/distributed.md, with the address of machine 0."""
    options = f"--num_machines 2 --machine_rank {host} --num_processes 2 --main_process_ip {hosts.addresses[0]}"
    options += f" --main_process_port 29500 --rdzv_backend c10d --rdzv_conf is_host={int(host == 0)} --max_restarts 1"
    config = ["--config_file", str(REPOSITORY / "train/accelerate/ddp.yaml"), "--num_cpu_threads_per_process", "1"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *config, *options.split()]
    return hosts.start(host, [*launcher, "-m", "train", str(recipe)], log)


@pytest.mark.distributed
@pytest.mark.timeout(2 * DEADLINE)
def test_two_machines_train_as_one_process_does_also_when_a_process_dies(
    tmp_path: Path, tiny_llm: Path, hosts: Hosts
) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows())
    settings = {"steps": 30, "batch_size": 1, "save_every": 1}
    recipe = write_recipe(tmp_path / "two", tiny_llm, data, **settings)
    logs = [tmp_path / f"log-{host}" for host in range(2)]
    launchers = [launch(hosts, host, recipe, logs[host]) for host in range(2)]
    lines = tmp_path / "two/run/metrics.jsonl"
    deadline = time.monotonic() + DEADLINE
    while not (lines.exists() and lines.read_text().count("\n") >= 4):
        assert all(launcher.poll() is None for launcher in launchers), [log.read_text() for log in logs]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(hosts.processes(1, "train")[-1], signal.SIGKILL)
    statuses = [launcher.wait(timeout=DEADLINE) for launcher in launchers]
    said = [log.read_text() for log in logs]
    assert statuses == [0, 0], said
    # one process of all speaks, and after one restart the run went on
    assert [sum(text.count(line) for text in said) for line in ("\nbeginning: ", "\ncontinuing after step ")] == [1, 1]

    Trainer(load_recipe(write_recipe(tmp_path / "one", tiny_llm, data, accumulation_steps=2, **settings))).run()
    runs = tmp_path / "one/run", tmp_path / "two/run"
    for name in ("loss", "gradient_norm", "samples", "answer_tokens"):
        assert metrics(runs[1], name) == pytest.approx(metrics(runs[0], name), rel=1e-4), name
    first, second = (weights(folder / "last") for folder in runs)
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) < 2e-4  # of Adam's steps of 1e-2
