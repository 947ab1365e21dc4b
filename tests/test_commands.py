"""Help and mistakes on the command line show at once, before torch and transformers are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from omni.encoders.imagebind import TRUNKS
from tests.documents import REPOSITORY

SLOW = ("torch", "transformers", "gradio", "scipy", "sklearn")
RUN = f"""
import runpy, sys
sys.path.insert(0, {str(REPOSITORY)!r})
module, *sys.argv[1:] = sys.argv[1:]
status = 0
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    status = end.code or 0
print("slow:", *[name for name in {SLOW} if name in sys.modules])
sys.exit(status)
"""
MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).parts[:-1])
    for package in ("omni", "train", "eval", "demo")
    for path in (REPOSITORY / package).rglob("__main__.py")
)
SUBCOMMANDS = ["omni fetch", "omni cache", "omni import", "omni export", "omni center", "omni explain"]
SUBCOMMANDS += ["train.make_data questions"]
SUBCOMMANDS += ["eval.speed train", "eval.speed encoders", "eval.speed cache"]


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-c", RUN, *command.split()], cwd=folder, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "slow:", f"{command}: {done.stdout}"
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("command", [*MODULES, *SUBCOMMANDS])
def test_help_shows_at_once(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, f"{command} --help")
    assert done.returncode == 0
    assert f"python -m {command}" in done.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train nothing.yaml", "train: there is no recipe nothing.yaml; those in"),
        ("train", ""),
        ("eval", "name a suite or task and --model DIR"),
        ("eval vqav2 --model here", "error: vqav2 needs official files: give their folder as --data FOLDER"),
        ("eval starter-imag --model here", "did you mean starter-image?"),
        (
            "eval starter-image --model here",
            "error: --model: there is no folder here. Give a folder that training wrote",
        ),
        ("eval starter-image --model image=here", "error: --model: there is no folder here."),
        ("eval starter-image --model here there", "--model takes one folder, or NAME=DIR for each adapter"),
        ("eval starter-image --model .", "error: --model: . is no model folder: it has no config.yaml."),
        ("eval.retrieval --space here --data x --query a --target b", "error: --space: there is no folder here."),
        ("demo", "the following arguments are required: --model"),
        ("demo --model here", "error: --model: there is no folder here."),
        ("omni center here --data x", "error: SPACE: there is no folder here."),
        ("demo.server --model here --engine vllm", "error: --engine and --engine_url go together"),
        ("omni export merged-llm here --output there", "error: DIR: there is no folder here."),
        ("omni cache --build nothing.yaml", "error: there is no recipe nothing.yaml"),
        ("omni nothing", "invalid choice: 'nothing'"),
        ("train.make_data", "the following arguments are required: COMMAND"),
        ("eval.speed train --shape nothing", "invalid choice: 'nothing'"),
    ],
)
def test_mistakes_show_at_once(tmp_path: Path, command: str, message: str) -> None:
    done = run(tmp_path, command)
    assert done.returncode in (1, 2)
    assert message in done.stderr


def test_a_run_that_holds_models_in_its_folders_is_told_from_them(tmp_path: Path) -> None:
    (tmp_path / "run" / "best").mkdir(parents=True)
    (tmp_path / "run" / "best" / "config.yaml").touch()
    (tmp_path / "file").touch()
    assert f"Did you mean {Path('run/best')}?" in run(tmp_path, "demo --model run").stderr
    assert "--model: file is a file, and no model folder." in run(tmp_path, "demo --model file").stderr


def test_names_that_the_command_line_of_speed_has_are_those_that_there_are() -> None:
    from eval.speed import arguments, shapes

    assert set(arguments.SHAPE_NAMES) == {*shapes.SHAPES}
    assert set(arguments.DTYPE_NAMES) == {*shapes.DTYPES}
    assert arguments.TRUNK_NAMES == TRUNKS
