"""Tiny runs for the tests of training: manifests of random sensor recordings, recipes, and the commands to run them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file

from tests.tiny import MLP, recording

RESAMPLER = {
    "class_path": "adapters.Resampler",
    "init_args": {"num_queries": 3, "num_layers": 1, "num_heads": 2, "width": 32},
}
REPOSITORY = Path(__file__).parents[2]
# all subsets of three modalities, text-only included
SUBSETS = [
    [name for bit, name in enumerate(("image", "sound", "depth")) if number >> bit & 1] for number in range(2**3)
]
WORDS = ["frog", "dog", "drum", "bell", "picture", "sound"]


def row(name: str, media: Sequence[str], answer: str, text: str | None = None) -> dict[str, Any]:
    """One row of a manifest: media (`image:3.npy`), then perhaps text, then the answer."""
    parts: list[dict[str, Any]] = [
        {"type": item.partition(":")[0], "path": item.partition(":")[2]} for item in media
    ] + ([] if text is None else [{"type": "text", "text": text}])
    return {
        "id": name,
        "messages": [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ],
    }


def write_manifest(folder: Path, rows: Sequence[Mapping[str, Any] | str], name: str = "data.jsonl") -> Path:
    """Write rows (or raw lines) and the 16 recordings `0.npy` ... `15.npy` that rows refer to."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(16):
        np.save(folder / f"{index}.npy", recording(index, length=3 + index % 7))
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def mixed_rows(count: int = 16, prefix: str = "") -> list[dict[str, Any]]:
    """Rows with every subset of the modalities image and sound, text-only ones included."""
    subsets = [["image"], ["sound"], [], ["image", "sound"]]
    return [
        row(
            f"{prefix}{index}",
            [f"{modality}:{index % 16}.npy" for modality in subsets[index % 4]],
            f"a {WORDS[index % 6]} {'and the bell' * (index % 3)}".strip(),
            None if subsets[index % 4] else "what is this",
        )
        for index in range(count)
    ]


def write_recipe(folder: Path, llm: Path, data: Path, **train: Any) -> Path:
    """Write a recipe for a model with two modalities and `dropout`-free adapters; returns its path."""
    top = {name: train.pop(name) for name in ("objective", "init_from", "lora", "evaluation", "model") if name in train}
    modalities = {
        name: {
            "encoder": {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": index}},
            "adapter": adapter,
            "cue": f"{name}: ",
        }
        for index, (name, adapter) in enumerate({"image": RESAMPLER, "sound": MLP}.items())
    }
    recipe: dict[str, Any] = {
        "model": {"llm": {"name": str(llm), "lora": top.get("lora")}, "modalities": modalities},
        "data": {
            "train": [{"path": str(data), "instructions": ["describe it", "what is this"]}],
            "evaluation": top.get("evaluation", []),
        },
        "train": {
            "output_dir": str(folder / "run"),
            "steps": 4,
            "batch_size": 2,
            "lr": 1e-2,
            "warmup_steps": 1,
            "num_workers": 0,
            "log_every": 1,
        }
        | train,
    }
    if "init_from" in top:
        recipe["init_from"] = top["init_from"]
        del recipe["model"]
    if "model" in top:
        recipe["model"] = top["model"]
    if "objective" in top:
        recipe["objective"] = top["objective"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def command(recipe: Path, *overrides: str, processes: int = 1) -> list[str]:
    """The command line of a run."""
    if processes == 1:
        return [sys.executable, "-m", "train", str(recipe), *overrides]
    # --multi_gpu is accelerate's word for several processes on one machine, CPUs included; --cpu would start only one
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes), "--num_machines", "1"]
    options = ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    port = ["--main_process_port", "0"]
    return [sys.executable, "-m", *launcher, *options, *port, "-m", "train", str(recipe), *overrides]


def environment() -> dict[str, str]:
    """For a run as a process of its own: one thread each, and this repository importable."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }


def run(recipe: Path, *overrides: str, processes: int = 1, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """Run training as a process of its own and wait for it."""
    return subprocess.run(
        command(recipe, *overrides, processes=processes),
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def weights(model_folder: Path) -> dict[str, np.ndarray]:
    """The trained weights of a model folder."""
    return load_file(str(model_folder / "adapter.safetensors"))


def metrics(run_folder: Path, name: str) -> dict[int, float]:
    """Step -> figure, from metrics.jsonl."""
    rows = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    found = [(found["step"], found[name]) for found in rows if name in found]
    assert len({step for step, _ in found}) == len(found), f"{name} is there twice for a step: {found}"
    return dict(found)
