"""The suite of ImageBind's published row, and CLIP's templates."""

from eval.kinds import Retrieve
from eval.tasks.suites import SUITES, get_tasks
from eval.tasks.templates import imagenet_templates


def test_there_are_80_templates_each_with_a_place_for_the_label() -> None:
    templates = imagenet_templates()
    assert len({*templates}) == len(templates) == 80
    assert all(template.count("{}") == 1 for template in templates)


def test_the_suite_has_a_task_for_each_published_figure_on_official_data() -> None:
    tasks = get_tasks("imagebind-table")
    assert len(tasks) == 12
    assert all(task.data.startswith("official:") and "%" in task.description for task in tasks)
    assert {"image", "video", "depth", "sound", "thermal", "imu"} == {m for task in tasks for m in task.modalities}
    found = {task.name: task for task in tasks if isinstance(task.kind, Retrieve)}
    assert {*found} == {"imagebind-clotho", "imagebind-audiocaps", "imagebind-msrvtt"}
    assert not {*SUITES["starter"]} & {task.name for task in tasks}
