"""The tasks that come with omni, and how a task is found by name or in a user's own file."""

from pathlib import Path

from eval.task import Task
from eval.tasks import (
    audio_visual,
    cross_modal,
    explanations,
    image,
    imagebind_table,
    imagenet,
    joint,
    picture_captions,
    picture_choice,
    picture_questions,
    picture_yes_no,
    probes,
    probing_benchmarks,
    reasoning,
    retrieval_benchmarks,
    sensor_benchmarks,
    sound,
    sound_benchmarks,
    space,
    speech,
    three_d,
    video,
    video_captions,
    video_choice,
    video_qa,
    vqa,
)
from omni.config.user_modules import load_file, load_module

_STARTER = (image, sound, speech, video, three_d, joint, reasoning)  # on data that omni fetches
_EXPLANATIONS = (explanations,)  # of answers, on data that omni fetches
_SPACES = (space, probes)  # of joint spaces and of encoders, on data that omni fetches
_OFFICIAL = (  # on official files of benchmarks
    vqa,
    picture_questions,
    picture_captions,
    picture_choice,
    picture_yes_no,
    imagenet,
    video_captions,
    video_qa,
    video_choice,
    audio_visual,
    cross_modal,
    sound_benchmarks,
    sensor_benchmarks,
    retrieval_benchmarks,
    probing_benchmarks,
    imagebind_table,
)
STARTER_TASKS: dict[str, Task] = {task.name: task for module in _STARTER for task in module.TASKS}
TASKS: dict[str, Task] = STARTER_TASKS | {
    task.name: task for module in (*_EXPLANATIONS, *_SPACES, *_OFFICIAL) for task in module.TASKS
}


def get_task(name: str) -> Task:
    """Return the task of that name, or of `path/to/file.py:NAME` or `package.module:NAME`.

    Raises:
        ValueError: there is none, or something is wrong in its file.
        FileNotFoundError: the file is not there.
    """
    if ":" not in name:
        if name not in TASKS:
            raise ValueError(f"unknown task {name!r}; there are {', '.join(TASKS)}. Your own: my_tasks.py:TASK")
        return TASKS[name]
    location, _, attribute = name.rpartition(":")
    if location.endswith(".py"):
        if not Path(location).is_file():
            raise FileNotFoundError(f"there is no file {location}, from which the task {attribute!r} was asked")
        module = load_file(Path(location))
    else:
        try:
            module = load_module(location)
        except ModuleNotFoundError as error:
            raise ValueError(f"there is no module {location}, from which the task {attribute!r} was asked") from error
    found = vars(module).get(attribute)
    if not isinstance(found, Task):
        tasks = [key for key, value in vars(module).items() if isinstance(value, Task)]
        raise ValueError(f"{location} has no task {attribute!r}; its tasks are {', '.join(tasks) or 'none'}")
    return found
