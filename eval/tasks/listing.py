"""The list of suites and tasks, for the terminal."""

from eval.commands import COMMANDS
from eval.task import Task
from eval.tasks import TASKS
from eval.tasks.suites import SUITES


def listing() -> str:
    """Return the list of all suites and tasks."""
    lines = ["Suites:"]
    lines += [f"  {name:<16} {', '.join(members)}" for name, members in SUITES.items()]
    lines += ["", "Tasks:", *(_task_line(task) for task in TASKS.values())]
    lines += ["", f"Commands: {', '.join(COMMANDS)} (python -m eval COMMAND --help)"]
    return "\n".join([*lines, "", "A task of your own: python -m eval my_tasks.py:TASK --model DIR"])


def _task_line(task: Task) -> str:
    return f"  {task.name:<32} {'+'.join(task.modalities):<12} {task.scorer:<20} {task.description}"
