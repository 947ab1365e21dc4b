"""Runs with short answers, for speed, and mirrors of data sets with several configurations."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.run.results import TaskResult
from eval.task import Generate, Task
from omni.model import OmniModel
from tests.eval.data import official


def run(task: Task, folder: Path, model: OmniModel) -> TaskResult:
    """Evaluate a task on official files; written answers have two tokens, all else is as declared."""
    if isinstance(task.kind, Generate):
        task = task.changed(kind=replace(task.kind, settings={**task.kind.settings, **_SHORT}))
    return official.run(task, folder, model)


def mirror(folder: Path, config: str, split: str, columns: Mapping[str, list[Any]]) -> Path:
    """A copy of a hub's data set with one configuration, which its description (README.md) names."""
    official.parquet(folder / config / f"{split}-00000-of-00001.parquet", columns)
    files = f"  data_files:\n  - split: {split}\n    path: {config}/{split}-*\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {config}\n{files}---\n", encoding="utf-8")
    return folder


_SHORT = {"max_new_tokens": 2, "min_new_tokens": 1}
