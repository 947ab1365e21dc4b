"""`python -m omni cache` as a process: stats, prune, and build on one process and two."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omni.__main__ import main
from omni.commands.cache import parse_size
from omni.feature_cache.retention import list_shards
from tests.train.runs import REPOSITORY, environment, row, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer


def on_two_processes(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launcher += ["--num_cpu_threads_per_process", "1"]
    return subprocess.run(
        [sys.executable, *launcher, "-m", "omni", *map(str, arguments)],
        cwd=REPOSITORY,
        env=environment() | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def recipe(tmp_path: Path, llm: Path) -> Path:
    rows = [row(str(i), [f"{('image', 'sound')[i % 2]}:{i % 12}.npy"], "a frog") for i in range(40)]
    rows += [row("broken", ["image:broken.npy"], "a frog"), row("missing", ["sound:missing.npy"], "a frog")]
    data = write_manifest(tmp_path / "data", rows)
    np.save(tmp_path / "data/broken.npy", np.zeros((3, 9)))
    return write_recipe(tmp_path / "a", llm, data, feature_cache=str(tmp_path / "cache"), epochs=1, steps=None)


def num_entries(tmp_path: Path) -> int:
    return sum(shard.num_entries() for shard in list_shards(tmp_path / "cache"))


def test_stats_name_the_encoders(tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trainer(load_recipe(recipe(tmp_path, tiny_llm), ["--data.max_bad_share", "0.5"])).run()
    capsys.readouterr()
    assert main(["cache", "--stats", "--dir", str(tmp_path / "cache")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "SensorEncoder of image" in line]) == 1
    assert len([line for line in lines if "SensorEncoder of sound" in line]) == 1
    for name in (tmp_path / "cache").glob("*/encoder.txt"):
        name.unlink()  # as in caches of earlier versions
    assert main(["cache", "--stats", "--dir", str(tmp_path / "cache")]) == 0
    assert "(of an earlier version)" in capsys.readouterr().out


@pytest.mark.distributed
def test_two_processes_build_what_training_then_finds(tmp_path: Path, tiny_llm: Path) -> None:
    path = recipe(tmp_path, tiny_llm)
    built = on_two_processes("cache", "--build", path)
    assert built.returncode == 0, built.stderr
    assert "40 media items are cached" in built.stdout
    assert "2 could not be used" in built.stdout
    assert re.search(r"broken \(.*data\.jsonl\): a sensor recording is an array \[T, 3\]", built.stderr)
    assert re.search(r"missing \(.*data\.jsonl\): .*missing\.npy", built.stderr)
    entries = num_entries(tmp_path)
    assert 12 <= entries <= 14  # two processes may begin with the same item
    trainer = Trainer(load_recipe(path, ["--data.max_bad_share", "0.5"]))
    trainer.run()
    assert num_entries(tmp_path) == entries


def test_a_build_goes_on_where_it_was_and_stats_and_prune_show_and_delete(
    tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def omni_cache(*arguments: str | Path) -> str:
        assert main(["cache", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    path = recipe(tmp_path, tiny_llm)
    assert "12 encoded now, 28 were there" in omni_cache("--build", path, "--num-workers", "0")
    assert "0 encoded now, 40 were there" in omni_cache("--build", path)
    assert num_entries(tmp_path) == 12
    stats = omni_cache("--stats", "--dir", tmp_path / "cache")
    assert "12 entries" in stats
    assert stats.count("float32") == 2
    assert "deleted 0 shards" in omni_cache("--prune", "--older-than", "1", "--dir", tmp_path / "cache")
    assert "deleted 2 shards" in omni_cache("--prune", "all", "--dir", tmp_path / "cache")
    assert num_entries(tmp_path) == 0


@pytest.mark.parametrize(
    ("pattern", "encoded"), [("modalities.image.encoder", ["sound"]), ("llm.model.model.norm", ["image", "sound"])]
)
def test_encoders_that_are_trained_are_left_out(
    tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str], pattern: str, encoded: list[str]
) -> None:
    path = recipe(tmp_path, tiny_llm)
    path.write_text(path.read_text().replace("train:\n  output_dir", f"train:\n  unfreeze: [{pattern}]\n  output_dir"))
    assert load_recipe(path).train.unfreeze == [pattern]
    assert main(["cache", "--build", str(path), "--num-workers", "0"]) == 0
    assert ("encoder of image is trained" in capsys.readouterr().out) == ("image" not in encoded)
    assert num_entries(tmp_path) == 6 * len(encoded)


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status, message in (
        (["--prune"], 2, "--prune needs a size"),
        (["--prune", "lots"], 2, "'lots' is no size"),
        (["--stats", "--older-than", "3"], 2, "goes with --prune"),
        (["--build", str(tmp_path / "none.yaml")], 1, "there is no recipe"),
    ):
        assert main(["cache", *arguments]) == status, arguments
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_sizes_are_read_as_people_write_them() -> None:
    found = [parse_size(text) for text in ("20GB", "1.5 gb", "500MB", "1000", "3k" + "b", "all")]
    assert found == [20 * 10**9, 15 * 10**8, 5 * 10**8, 1000, 3000, 0]
    with pytest.raises(ValueError, match="20 bananas"):
        parse_size("20 bananas")
