"""The list of suites and tasks, for the terminal."""

from eval.commands import COMMANDS
from eval.task import OFFICIAL, Task
from eval.tasks import TASKS
from eval.tasks.suites import SUITES


def listing() -> str:
    """Return the list of all suites and tasks."""
    lines = ["Suites:"]
    lines += [f"  {name:<18} {', '.join(members)}" for name, members in SUITES.items()]
    official = {name: task for name, task in TASKS.items() if task.data.startswith(OFFICIAL)}
    lines += ["", "Tasks on data that omni fetches:"]
    lines += [_task_line(task) for name, task in TASKS.items() if name not in official]
    lines += ["", "Tasks on official files of benchmarks (`python -m eval data` says what to get):"]
    lines += [_task_line(task) for task in official.values()]
    lines += ["", f"Commands: {', '.join(COMMANDS)} (python -m eval COMMAND --help)"]
    return "\n".join([*lines, "", "A task of your own: python -m eval my_tasks.py:TASK --model DIR"])


def _task_line(task: Task) -> str:
    return f"  {task.name:<36} {'+'.join(task.modalities):<14} {task.scorer:<22} {task.description}"
