"""Imports point down: demo, eval and train import omni, omni imports adapters, adapters import torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"adapters", "omni", "train", "eval", "demo"}
# demo is the top: its quickstart and its page may use train and eval
ALLOWED = {
    "adapters": {"adapters"},
    "omni": {"omni", "adapters"},
    "train": {"train", "omni", "adapters"},
    "eval": {"eval", "omni", "adapters"},
    "demo": OURS,
}


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_down(package: str) -> None:
    files = [*(ROOT / package).rglob("*.py")]
    assert files
    wrong = {str(file): upward for file in files if (upward := (imported(file) & OURS) - ALLOWED[package])}
    assert not wrong


def test_adapters_import_torch_and_the_standard_library_only() -> None:
    allowed = {"torch", "adapters"} | set(sys.stdlib_module_names)
    outside = {str(file): rest for file in (ROOT / "adapters").rglob("*.py") if (rest := imported(file) - allowed)}
    assert not outside


def test_importing_the_model_does_not_import_what_only_some_models_need() -> None:
    code = "import sys, omni.model; print([m for m in ('peft', 'bitsandbytes', 'gradio', 'train') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
