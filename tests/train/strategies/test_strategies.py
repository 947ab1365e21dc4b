"""Every shipped accelerate config: two processes give what one gives, whatever media each of them meets."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.train.runs import (
    MLP,
    REPOSITORY,
    SUBSETS,
    environment,
    metrics,
    row,
    weights,
    write_manifest,
    write_recipe,
)
from tests.train.strategies.strategy_worker import frozen_trainer, losses_of_pairs, train

CONFIGS = REPOSITORY / "train/accelerate"
STRATEGIES = ["ddp", "fsdp2", "zero1", "zero2", "zero2-offload", "zero3", "zero3-offload"]
HANG = 400  # seconds; only to tell a hang from a slow machine
# One adapter in the sequence, one inside the LLM's layers, and one with a loss of its own.
INSERTED = {
    "class_path": "adapters.GatedCrossAttention",
    "init_args": {"every": 1, "num_queries": 2, "width": 16, "num_heads": 2, "dropout": 0.1},
}
EXPERTS = {"class_path": "adapters.Experts", "init_args": {"num_experts": 2, "width": 16, "balance_weight": 0.1}}
LORA = {"r": 2, "alpha": 4, "dropout": 0.1, "target_modules": ["q_proj"], "mode": "per_modality"}


def strategy_recipe(folder: Path, llm: Path, data: Path, accumulation_steps: int) -> Path:
    modalities = {
        name: {
            "encoder": {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": index}},
            "adapter": adapter,
            "cue": f"{name}: ",
        }
        for index, (name, adapter) in enumerate({"image": MLP, "sound": INSERTED, "depth": EXPERTS}.items())
    }
    return write_recipe(
        folder,
        llm,
        data,
        model={"llm": {"name": str(llm), "lora": LORA}, "modalities": modalities},
        evaluation=[{"path": str(data), "limit": 5}],  # an odd number: processes evaluate different numbers of batches
        batch_size=1,
        accumulation_steps=accumulation_steps,
        steps=4,
        evaluate_every=2,
        save_every=1,
        keep=4,
    )


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Path:
    """A run of one process, and what it gives for all pairs of subsets of modalities."""
    folder = tmp_path_factory.mktemp("single")
    rows = [
        row(str(i), [f"{name}:{i}.npy" for name in subset], f"a frog {'and a bell' * (i % 3)}", "what is this")
        for i, subset in enumerate(SUBSETS)
    ]
    data = write_manifest(folder / "data", rows)
    recipe = strategy_recipe(folder, tiny_llm, data, accumulation_steps=4)
    train(recipe, folder / "whole")
    pairs = losses_of_pairs(frozen_trainer(recipe, folder / "pairs"))
    (folder / "results.json").write_text(json.dumps({"pairs": pairs}))
    return folder


@pytest.fixture(scope="module", params=STRATEGIES)
def double(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, single: Path, tiny_llm: Path
) -> Path:
    """The same with two processes under one of the shipped configs; and runs that go on from a checkpoint."""
    folder = tmp_path_factory.mktemp(request.param)
    strategy_recipe(folder, tiny_llm, single / "data/data.jsonl", accumulation_steps=2)
    shutil.copytree(single / "whole", folder / "single")
    launch(CONFIGS / f"{request.param}.yaml", "tests.train.strategies.strategy_worker", str(folder))
    return folder


def launch(config: Path, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += ["--num_cpu_threads_per_process", "1", "--main_process_port", "0", "-m", module, *arguments]
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=HANG, check=False
    )
    assert result.returncode == 0, result.stderr[-6000:]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def largest_difference(first: Path, second: Path) -> float:
    """Between all weights, adapters and LoRAs, of two model folders, which have the same keys and shapes."""
    files = sorted(file.relative_to(first) for file in first.rglob("*.safetensors"))
    assert files == sorted(file.relative_to(second) for file in second.rglob("*.safetensors"))
    assert len(files) == 1 + len(SUBSETS[-1])
    differences = []
    for file in files:
        here, there = load_file(first / file), load_file(second / file)
        assert {name: value.shape for name, value in here.items()} == {k: v.shape for k, v in there.items()}
        differences += [float(np.abs(here[name] - there[name]).max()) for name in here]
    return max(differences)


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_two_processes_train_as_one_does_whatever_media_each_meets(single: Path, double: Path) -> None:
    found, expected = results(double), results(single)
    assert found["processes"] == 2
    assert found["sharded_layers"] == any(name in double.name for name in ("zero3", "fsdp2"))
    # every subset of three modalities, or no sample at all, on the one process, and on the other: no hang, same numbers
    assert len(found["pairs"]) == (len(SUBSETS) + 1) ** 2
    np.testing.assert_allclose(found["pairs"], expected["pairs"], rtol=2e-4, atol=1e-6)
    # whole runs: 1 process x 4 = 2 processes x 2
    for name in ("loss", "gradient_norm", "evaluation_loss", "lr", "answer_tokens"):
        assert metrics(double / "whole", name) == pytest.approx(metrics(single / "whole", name), rel=1e-4), name
    assert largest_difference(double / "whole/last", single / "whole/last") < 2e-4  # of Adam's steps of 1e-2
    assert all(".adapter." in name for name in weights(double / "whole/last"))  # nothing frozen

    # stopped and resumed: bit for bit
    assert largest_difference(double / "resumed/last", double / "whole/last") == 0
    assert metrics(double / "resumed", "loss") == {
        step: loss for step, loss in metrics(double / "whole", "loss").items() if step > 2
    }
    # begun by one process and gone on with by two, under another strategy
    assert largest_difference(double / "converted/last", single / "whole/last") < 2e-4
