"""Official files in tests, for speed: what a task asks without a model, and runs with short answers and one control."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.run.plan import Plan
from eval.run.planning import plan_task
from eval.run.results import TaskResult
from eval.task import Generate, Task
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data import official


def run(task: Task, folder: Path, model: OmniModel) -> TaskResult:
    """Evaluate a task on official files; written answers have two tokens, and no media are exchanged."""
    if isinstance(task.kind, Generate):
        task = task.changed(kind=replace(task.kind, settings={**task.kind.settings, **_SHORT}))
    return official.run(task.changed(num_shuffles=0), folder, model)


def plan(name: str, folder: Path) -> Plan:
    """What a shipped task asks of official files."""
    return plan_task(TASKS[name].changed(folder=str(folder)), limit=None, seed=0)


def asked(plan: Plan) -> list[tuple[str, str]]:
    """The question of each item, and what is right: an option, or all references."""
    return [(one.prompt, one.options[one.right] if one.options else " / ".join(one.references)) for one in plan.items]


def bad(plan: Plan) -> list[tuple[str, str]]:
    """The items that cannot be used, with the reasons."""
    return [(one.id, one.reason) for one in plan.bad]


def mirror(folder: Path, config: str, split: str, columns: Mapping[str, list[Any]]) -> Path:
    """A copy of a hub's data set with one configuration, which its description (README.md) names."""
    official.parquet(folder / config / f"{split}-00000-of-00001.parquet", columns)
    files = f"  data_files:\n  - split: {split}\n    path: {config}/{split}-*\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {config}\n{files}---\n", encoding="utf-8")
    return folder


_SHORT = {"max_new_tokens": 2, "min_new_tokens": 1}
