"""What stands twice in official files, or is not there of them: named with its place, and never counted twice."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from eval.data.checking import report
from eval.data.command import main
from eval.data.shards import missing_shards
from eval.items.loading import load_items
from eval.report.markdown import markdown_report
from eval.report.words import item_count, warnings_of
from eval.run.results import RunResult, load_results, save_results
from eval.task import Generate, Task
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import check, decoding_model, parquet, picture, plan_of, run, write_json


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def vizwiz(folder: Path, names: str, questions: dict[int, str] | None = None, answers: list[str] | None = None) -> Path:
    """`val.json` with one question about each of the pictures `names`, in their order."""
    rows = []
    for index, name in enumerate(names):
        picture(folder / f"{name}.jpg", ord(name))
        said = [{"answer": text} for text in answers or ["net"] * 10]
        rows.append({"image": f"{name}.jpg", "question": (questions or {}).get(index, "What?"), "answers": said})
    write_json(folder / "val.json", rows)
    return folder


def test_a_row_that_stands_there_twice_is_asked_once_and_named(
    model: OmniModel, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    result = run(TASKS["vizwiz"], vizwiz(tmp_path, "abab"), model)
    assert ([item.id for item in result.items], result.num_rows, result.bad) == (["a.jpg", "b.jpg"], 4, [])
    reason = "stands there twice (item 1 of val.json and item 3 of val.json) and says the same; it is asked once"
    assert (result.origin.left_out[0].id, result.origin.left_out[0].reason) == ("a.jpg", reason)
    assert item_count(result) == "2 (2 left out)"
    official, left_out = warnings_of(result)
    assert "4,319, and these files have 2" in official
    assert left_out.startswith(f"2 rows are left out (a.jpg: {reason}; b.jpg: ")
    assert main(["vizwiz", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "2 of 4,319 items can be used" in printed
    assert f"  rows that are left out: 2, the first:\n    a.jpg: {reason}" in printed


def test_rows_with_one_id_that_differ_are_both_asked_and_named(tmp_path: Path) -> None:
    plan = plan_of("vizwiz", vizwiz(tmp_path, "aba", {2: "Which?"}))
    assert [item.id for item in plan.items] == ["a.jpg", "b.jpg", "a.jpg"]
    places = "'a.jpg' (item 1 of val.json, item 3 of val.json)"
    (note,) = plan.origin.notes
    assert note == f"an id stands at several rows that differ, each of which is asked: {places}"
    assert note in report(check("vizwiz", tmp_path))


def mirror(folder: Path, *names: str) -> Path:
    """Shards of VizWiz's mirror: one question each."""
    for number, name in enumerate(names):
        data = {"bytes": picture(folder.parent / f"{number}.jpg", number).read_bytes()}
        columns: dict[str, list[Any]] = {
            "image": [data],
            "question_id": [f"q{number % 2}"],
            "question": [f"What is {number}?"],
            "answers": [["net"] * 10],
        }
        parquet(folder / "data" / name, columns, {"image": datasets.Image()})
    return folder


def test_places_in_shards_are_rows_of_their_files(tmp_path: Path) -> None:
    names = [f"val-{number:05d}-of-00003.parquet" for number in range(3)]
    (note,) = plan_of("vizwiz", mirror(tmp_path / "mirror", *names)).origin.notes
    assert "'q0' (row 1 of val-00000-of-00003.parquet, row 1 of val-00002-of-00003.parquet)" in note


def test_missing_shards_are_named(model: OmniModel, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = mirror(tmp_path / "mirror", "val-00000-of-00003.parquet", "val-00002-of-00003.parquet")
    result = run(TASKS["vizwiz"], folder, model)
    words = "1 shard is missing, whose items are not asked: data/val-00001-of-00003.parquet"
    assert (result.num_items, result.origin.notes) == (2, (words,))
    assert f"WARNING: {words}." in warnings_of(result)
    assert f"**WARNING: {words}.**" in markdown_report(RunResult("", {}, [result]))
    assert main(["vizwiz", str(folder)]) == 1
    assert f"  {words}\n" in capsys.readouterr().out
    assert not check("vizwiz", folder).is_complete


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["a/test-00000-of-00002.parquet", "a/test-00001-of-00002.parquet", "a/notes.txt"], []),
        (["a/test-00001-of-00002-0a1b.parquet"], ["a/test-00000-of-00002-*.parquet"]),
        (["a/test-00000-of-00001.parquet", "a/train-00000-of-00009.parquet"], []),
        (["test/data-00001-of-00002.arrow", "train/data-00000-of-00009.arrow"], ["test/data-00000-of-00002.arrow"]),
        (["a/test-00000-of-00001.parquet", "b/test-00000-of-00002.parquet"], ["b/test-00001-of-00002.parquet"]),
        (["a/00000-of-00002.parquet"], ["a/00001-of-00002.parquet"]),
    ],
)
def test_names_of_shards_tell_which_are_missing(names: list[str], missing: list[str]) -> None:
    assert missing_shards(map(Path, names), "test") == missing


def test_the_result_names_folder_and_layout_and_older_results_still_load(model: OmniModel, tmp_path: Path) -> None:
    folder = vizwiz(tmp_path / "files", "aab")
    result = run(TASKS["vizwiz"], folder, model)
    assert (result.origin.folder, result.origin.layout) == (str(folder), "official")
    path = tmp_path / "results.json"
    save_results(RunResult("", {}, [result]), path)
    (loaded,) = load_results(path).tasks
    assert loaded.origin == result.origin
    assert loaded.origin.left_out[0].id == "a.jpg"
    assert f"Files: {folder} (layout: official)." in markdown_report(load_results(path))
    content = json.loads(path.read_text())
    del content["tasks"][0]["origin"]
    write_json(path, content)
    (older,) = load_results(path).tasks
    assert (older.origin.layout, "Files: " in markdown_report(load_results(path))) == ("", False)


def test_two_questions_under_one_key_of_a_file_are_named(tmp_path: Path) -> None:
    question = '{"imageId": "1", "question": "%s", "answer": "yes"}'
    path = tmp_path / "testdev_balanced_questions.json"
    path.write_text(f'{{"7": {question % "Who?"}, "8": {question % "What?"}, "7": {question % "Where?"}}}')
    found = check("gqa/testdev", tmp_path)
    assert "testdev_balanced_questions.json has the key '7' twice, with {'imageId': '1', 'question': 'Who?'" in (
        found.problem
    )


def test_rows_of_ones_own_that_stand_there_twice_are_asked_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = [{"type": "image", "path": "a.png"}, {"type": "text", "text": "What?"}]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "A frog."}]
    rows = [{"id": "frog", "messages": messages, "note": note} for note in ("one", "two", "one")]
    data = tmp_path / "own.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    task = Task("own", 1, "", str(data), ("image",), None, Generate(), "exact-match-v2")
    loaded = load_items(task, str(data), None, 0)
    assert [item.meta["note"] for item in loaded.items] == ["one", "two"]
    assert "(line 1 of own.jsonl and line 3 of own.jsonl)" in loaded.origin.left_out[0].reason
    assert "'frog' (line 1 of own.jsonl, line 2 of own.jsonl)" in loaded.origin.notes[0]


def test_a_blank_among_ten_answers_is_an_answer_as_in_the_official_code(model: OmniModel, tmp_path: Path) -> None:
    folder = vizwiz(tmp_path, "a", answers=["net"] * 2 + ["nets"] * 7 + [" "])
    plan = plan_of("vizwiz", folder)
    assert (plan.items[0].references.count("net"), plan.items[0].num_blank, plan.items[0].target) == (2, 1, "nets")
    assert plan.settings["blank_answers"].startswith("1 items have blank answers of annotators")
    result = run(TASKS["vizwiz"], folder, model)
    assert (result.num_items, result.bad, result.items[0].target) == (1, [], "net / nets")
    vizwiz(tmp_path, "a", answers=[""] * 10)
    assert plan_reason(folder) == "has no right answer to compare with: all 10 are blank"


def plan_reason(folder: Path) -> str:
    with pytest.raises(ValueError, match="no usable item") as error:
        plan_of("vizwiz", folder)
    return str(error.value).rpartition("a.jpg: ")[2].rstrip(")")
