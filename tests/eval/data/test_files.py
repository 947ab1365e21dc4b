"""The files of a folder: found by their names, whatever the letters of their endings."""

from pathlib import Path

import pytest

from eval.__main__ import all_with_data, with_data
from eval.data.command import main
from eval.data.files import Files
from eval.data.tables import csv_records, json_lines
from eval.tasks import TASKS
from tests.eval.data.official import check, picture, write_json


def test_an_ending_may_have_large_letters_and_a_name_may_not_differ(tmp_path: Path) -> None:
    for name in ("Ab.JPG", "aB.jpg", "deep/questions.Csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = Files(tmp_path)
    assert files.find("Ab.jpg").name == "Ab.JPG"
    assert files.find("aB.JPG").name == "aB.jpg"
    assert files.find("deep/*.csv").name == "questions.Csv"
    assert not files.matching("ab.jpg")


@pytest.mark.parametrize("is_file", [True, False])
def test_what_is_no_folder_is_a_mistake_of_the_users(
    is_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place = tmp_path / "place"
    if is_file:
        place.touch()
    assert main(["pope", str(place)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, str(place) in captured.err) == ("", True)


def test_a_folder_that_is_not_there_is_named_with_what_belongs_in_it(tmp_path: Path) -> None:
    task = TASKS["pope-random"]
    with pytest.raises(FileNotFoundError, match=r"--data .*wrong: there is no such folder.*`python -m eval data pope`"):
        with_data(task, str(tmp_path / "wrong"))
    assert with_data(task, str(tmp_path)).folder == str(tmp_path)
    with pytest.raises(ValueError, match=r"is one of the official files .*: name the folder"):
        with_data(task, str(tmp_path / "coco_pope_random.json"))
    (tmp_path / "val.json").touch()  # VizWiz's file has this name, and so may anyone's
    assert with_data(TASKS["vizwiz"], str(tmp_path / "val.json")).folder is None
    for other in ("hf:OWNER/NAME", "starter:stamps/test.jsonl", "train-{000..002}.tar", "shards/*.tar"):
        assert with_data(task, other).data == other


def test_a_medium_without_content_is_no_item_that_can_be_used(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").touch()
    answers = [{"answer": "net"}] * 10
    rows = [{"image": name, "question": "What?", "answers": answers} for name in ("a.jpg", "b.jpg")]
    write_json(tmp_path / "val.json", rows)
    found = check("vizwiz", tmp_path)
    assert (found.num_items, found.num_missing) == (1, 1)
    assert found.missing[0].endswith("b.jpg is empty (zero bytes); get it again")


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("name\ncaf\u00e9\n".encode("latin-1"))
    for read in (csv_records, json_lines):
        with pytest.raises(ValueError, match=r"table.csv is no text in UTF-8 \(.* at byte 8\)"):
            read(path)


def test_a_folder_of_official_files_is_no_data_of_other_tasks(tmp_path: Path) -> None:
    tasks = [TASKS["vizwiz"], TASKS["fashion-mnist"]]
    official, starter = all_with_data(tasks, str(tmp_path))
    assert (official.folder, starter) == (str(tmp_path), TASKS["fashion-mnist"])
    assert [task.data for task in all_with_data(tasks[1:], str(tmp_path))] == [str(tmp_path)]
