"""More than two processes: sums of gradients depend on the order in which they are added up."""

import multiprocessing
import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.train.runs import metrics, mixed_rows, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer

PROCESSES = 4
DEADLINE = 240  # seconds; only to tell a hang from a slow machine


def train_on_one(rank: int, port: int, recipe: Path, output: Path) -> None:
    """What a launcher starts for each rank."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "LOCAL_WORLD_SIZE": PROCESSES}
    os.environ |= {name: str(value) for name, value in place.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    Trainer(load_recipe(recipe, ["--train.output_dir", str(output)])).run()


def train(recipe: Path, output: Path) -> None:
    # a server that imports torch once and is then forked for each process: starts in no time, and shares no threads
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.run.loop"])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    places = [(rank, port, recipe, output) for rank in range(PROCESSES)]
    processes = [context.Process(target=train_on_one, args=place) for place in places]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(DEADLINE)
        assert [process.exitcode for process in processes] == [0] * PROCESSES
    finally:
        for process in processes:
            process.kill()


@pytest.mark.distributed
@pytest.mark.timeout(2 * DEADLINE)
def test_four_processes_go_on_bit_for_bit(tmp_path: Path, tiny_llm: Path) -> None:
    data = write_manifest(tmp_path / "data", mixed_rows(23))
    lora = {"r": 2, "alpha": 4, "dropout": 0.1, "target_modules": ["q_proj"]}
    recipe = write_recipe(tmp_path, tiny_llm, data, steps=6, batch_size=1, save_every=2, keep=9, lora=lora)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(recipe, whole)
    shutil.copytree(whole / "step-0000002", resumed / "last")
    train(recipe, resumed)
    after = {step: loss for step, loss in metrics(whole, "loss").items() if step > 2}
    assert metrics(resumed, "loss") == after
    for name in ("adapter.safetensors", "lora/adapter_model.safetensors"):
        written = {(folder / "last" / name).read_bytes() for folder in (whole, resumed)}
        assert len(written) == 1, name
