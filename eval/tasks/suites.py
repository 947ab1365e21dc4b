"""Suites: named lists of tasks."""

import difflib

from eval.commands import COMMANDS
from eval.task import Task
from eval.tasks import STARTER_TASKS, TASKS, explanations, get_task, imagebind_table, probes, space

SUITES: dict[str, tuple[str, ...]] = {
    "quickstart": ("image-caption-choice-10", "sound-family-choice", "sound-stamp-choice-10", "joint-sound-match"),
    "starter-image": (
        "image-caption-choice-10",
        "image-caption-choice-all",
        "image-category",
        "image-caption",
        "fashion-mnist",
    ),
    "starter-sound": ("sound-family-choice", "sound-stamp-choice-10"),
    "starter-speech": ("speech-transcription-choice-10",),
    "starter-video": ("video-caption-choice-10",),
    "starter-3d": ("object-caption-choice-10",),
    "starter-joint": ("joint-caption-choice-10", "joint-sound-match"),
    "starter-reasoning": ("reasoning-image-sound", "reasoning-image-object", "reasoning-sound-object"),
    "starter": tuple(STARTER_TASKS),
    "starter-space": (
        "image-caption-choice-10",
        "image-category",
        "sound-family-choice",
        "joint-caption-choice-10",
        "joint-sound-match",
        *(task.name for task in space.TASKS),
    ),
    "starter-explain": tuple(task.name for task in explanations.TASKS),
    "starter-probes": tuple(task.name for task in probes.TASKS),
    "imagebind-table": tuple(task.name for task in imagebind_table.TASKS),
}


def get_tasks(names: str) -> list[Task]:
    """Return the tasks of a suite, or of a comma-separated list of suites and tasks, each once.

    Raises:
        ValueError: a name is neither suite nor task.
        FileNotFoundError: a user's task file is not there.
    """
    tasks: dict[str, Task] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        if ":" not in name and name not in SUITES and name not in TASKS:
            closest = difflib.get_close_matches(name, [*SUITES, *TASKS], n=1)
            hint = f"did you mean {closest[0]}? " if closest else ""
            raise ValueError(
                f"{name!r} is neither a suite nor a task; {hint}`python -m eval --list` shows both. "
                "A task of your own is given as my_tasks.py:TASK"
            )
        for task in [TASKS[member] for member in SUITES[name]] if name in SUITES else [get_task(name)]:
            if task.name in COMMANDS:
                raise ValueError(f"a task cannot be called {task.name!r}: that is a command; rename it in {name}")
            tasks[task.name] = task
    if not tasks:
        raise ValueError(f"no task named in {names!r}; suites: {', '.join(SUITES)}")
    return list(tasks.values())
