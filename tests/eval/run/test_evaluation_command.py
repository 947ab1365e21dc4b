"""`python -m eval`: listing, errors, a whole run, and a task in a user's own file."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.__main__ import main
from eval.commands import COMMANDS
from eval.run.cache import AnswerCache
from eval.task import Choose, Task
from eval.tasks import TASKS
from eval.tasks.suites import SUITES, get_tasks
from tests.tiny import recording, tiny_model


@pytest.fixture(scope="module")
def model_folder(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(tiny_llm).save(folder)
    return folder


@pytest.fixture
def own_task(tmp_path: Path) -> str:
    lines = []
    for index, answer in enumerate(["A frog.", "A dog.", "A drum."]):
        np.save(tmp_path / f"{index}.npy", recording(index))
        content = [{"type": "image", "path": f"{index}.npy"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"id": str(index), "messages": messages}))
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    (tmp_path / "my_tasks.py").write_text(
        "from eval.task import Choose, Task\n"
        f"TASK = Task('mine', 2, 'My own.', {str(tmp_path / 'test.jsonl')!r}, ('image',), 'What?', Choose('answers'), "
        "'choice-mean-v1')\n"
    )
    return f"{tmp_path / 'my_tasks.py'}:TASK"


def test_list_names_every_suite_and_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*SUITES, *TASKS))


def test_a_users_own_task_runs_and_writes_three_files(own_task: str, model_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert main([own_task, "--model", str(model_folder), "--output", str(output), "--limit", "2"]) == 0
    result = json.loads((output / "results.json").read_text())
    assert (result["tasks"][0]["name"], result["tasks"][0]["version"]) == ("mine", 2)
    assert result["tasks"][0]["num_items"] == 2
    assert result["tasks"][0]["settings"]["items_used"] == "2 of 3"
    assert "mine" in (output / "results.md").read_text()
    assert (output / "report.html").read_text().startswith("<!doctype html>")


def test_prompt_and_data_of_a_task_can_be_replaced(own_task: str, model_folder: Path, tmp_path: Path) -> None:
    arguments = ["image-caption-choice-10", "--data", str(tmp_path / "test.jsonl"), "--prompt", "Say."]
    assert main([*arguments, "--model", str(model_folder), "--output", str(tmp_path / "out")]) == 0
    task = json.loads((tmp_path / "out" / "results.json").read_text())["tasks"][0]
    assert task["items"][0]["question"] == "Say."
    assert task["chance"] == pytest.approx(1 / 3)  # three captions are all there are


def test_a_named_task_without_its_modality_is_an_error_that_says_what_it_needs(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speech-transcription-choice-10", "--model", str(model_folder)]) == 2
    assert "needs speech, and this model takes image, sound" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["imagenet-22k", "my_tasks.py:TASK", "my_missing_tasks:TASK", ","])
def test_an_unknown_task_is_an_error(name: str, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--model", str(model_folder)]) == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("from eval.task import Task\nTASK = Task(\n", "line 2: SyntaxError: '(' was never closed"),
        ("\n  TASK = 1\n", "line 2: IndentationError: unexpected indent"),
        ("import eval\nTASK = Taks()\n", "line 2: NameError: name 'Taks' is not defined"),
        ("from eval.task import Task\n\nTASK = Task('mine')\n", "line 3: TypeError: "),
    ],
)
def test_a_mistake_in_a_users_task_file_is_one_sentence_with_its_line(
    text: str, reason: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_tasks.py").write_text(text)
    assert main([f"{tmp_path / 'my_tasks.py'}:TASK", "--model", str(model_folder)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'my_tasks.py'}, {reason}")


def test_a_mistake_in_a_users_module_of_tasks_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tasks_with_a_mistake.py").write_text("TASK = 1 +\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["tasks_with_a_mistake:TASK", "--model", "no"]) == 2
    assert "tasks_with_a_mistake.py, line 1: SyntaxError: " in capsys.readouterr().err


def test_a_run_that_computes_nothing_leaves_the_results_that_are_there(
    own_task: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    again = [own_task, "--model", str(model_folder), "--output", str(output)]
    assert main(again) == 0
    before = {name: (output / name).read_bytes() for name in ("results.json", "results.md", "report.html")}
    capsys.readouterr()
    assert main([*again, "--data", str(tmp_path / "missing.jsonl")]) == 2
    assert {name: (output / name).read_bytes() for name in before} == before
    printed = capsys.readouterr().out
    assert "mine                             not computed: " in printed
    assert "missing.jsonl" in printed
    assert f"the results of before in {output} are left as they are" in printed


def test_a_suite_that_computes_nothing_writes_the_reasons_where_there_are_no_results(
    tiny_llm: Path, tmp_path: Path
) -> None:
    tiny_model(tiny_llm, adapters={}).save(tmp_path / "model")
    assert main(["starter-speech", "--model", str(tmp_path / "model")]) == 2
    written = json.loads((tmp_path / "model" / "evaluation" / "starter-speech" / "results.json").read_text())
    assert [task["status"] for task in written["tasks"]] == ["not computed"]
    assert "needs speech" in written["tasks"][0]["reason"]


def test_a_suite_and_a_task_of_it_are_run_once() -> None:
    names = [task.name for task in get_tasks("starter-joint,joint-sound-match,starter-joint")]
    assert names == list(SUITES["starter-joint"])


def test_no_suite_or_task_is_called_like_a_command(own_task: str, tmp_path: Path) -> None:
    assert not {*COMMANDS} & {*SUITES, *TASKS}
    file = tmp_path / "my_tasks.py"
    file.write_text(file.read_text().replace("'mine'", "'compare'"))
    with pytest.raises(ValueError, match="cannot be called 'compare': that is a command"):
        get_tasks(own_task)


@pytest.mark.parametrize("command", [*COMMANDS])
def test_every_command_says_how_it_is_called(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"python -m eval {command}" in capsys.readouterr().out


def test_baselines_can_be_left_out(own_task: str, model_folder: Path, tmp_path: Path) -> None:
    options = ["--no_linear_map", "--no_bridge", "--output", str(tmp_path / "out")]
    assert main([own_task, "--model", str(model_folder), *options]) == 0
    (task,) = json.loads((tmp_path / "out" / "results.json").read_text())["tasks"]
    assert task["not_computed"]["linear map"] == task["not_computed"]["bridge"] == "switched off for this run"


def test_a_task_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="num_candidates"):
        Task("bad", 1, "", "x.jsonl", ("image",), "", Choose("sampled", num_candidates=1), "choice-sum-v1")
    with pytest.raises(ValueError, match="meta:KEY"):
        Task("bad", 1, "", "x.jsonl", ("image",), "", Choose("answers"), "choice-sum-v1", target="label")


def test_the_closest_name_is_offered(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image-caption-choice", "--model", str(model_folder)]) == 2
    assert "did you mean image-caption-choice-10?" in capsys.readouterr().err


def test_output_that_is_a_file_is_an_error_in_words(
    own_task: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").touch()
    assert main([own_task, "--model", str(model_folder), "--output", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_an_error_in_words(
    own_task: str, model_folder: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([own_task, "--model", str(model_folder), "--device", device]) == 2
    assert f"--device {device!r} cannot be used here" in capsys.readouterr().err


def test_a_question_that_fits_no_context_is_an_error_in_words(
    own_task: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--output", str(tmp_path / "out"), "--prompt", "frog " * 2000]
    assert main([own_task, "--model", str(model_folder), *options]) == 2
    assert "could not answer a single request" in capsys.readouterr().err


def test_answers_that_find_no_room_on_the_disk_stop_with_the_file(tmp_path: Path) -> None:
    with AnswerCache(tmp_path / "answers.sqlite", "model") as cache:
        cache.put({"first": 1})
        cache._connection.execute("PRAGMA max_page_count = 1")  # SQLite's own full disk
        with pytest.raises(OSError, match=r"cannot write answers to .*answers\.sqlite \(database or disk is full\)"):
            cache.put({str(number): "x" * 5000 for number in range(50)})
        assert cache.get("first") == 1
